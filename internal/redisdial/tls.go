package redisdial

import (
	"errors"
	"net/url"
	"strings"

	"github.com/seed-399731e2/taskq/internal/tlsfiles"
)

// tlsParameters are redis-py's names.
func tlsParameters() tlsfiles.Parameters {
	return tlsfiles.Parameters{Scheme: "redis", Authority: "ssl_ca_certs", Cert: "ssl_certfile", Key: "ssl_keyfile"}
}

// readFiles reads the parameters for TLS. As everywhere in taskq, the server's certificate is always verified.
func readFiles(q url.Values, host string) (*tlsfiles.Files, error) {
	switch strings.ToLower(strings.TrimPrefix(q.Get("ssl_cert_reqs"), "CERT_")) {
	case "", "required", "optional": // a server always shows its certificate, so that optional is no less
	default:
		return nil, errors.New("parameter ssl_cert_reqs: the server's certificate is always verified; name the authority that signed it with ssl_ca_certs")
	}
	if check := strings.ToLower(q.Get("ssl_check_hostname")); check != "" && check != "true" && check != "1" {
		return nil, errors.New("parameter ssl_check_hostname: the name in the server's certificate is always verified; use that name as the host")
	}
	return tlsParameters().Read(q, host)
}
