package amqp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/url"

	"github.com/seed-399731e2/taskq/internal/tlsfiles"
)

// secure makes the TLS configuration of one connection.
type secure func() (*tls.Config, error)

// secureBy is the caller's configuration, or one made of the URL's parameters, for host. It is made once here, so that mistakes
// surface with the URL.
func secureBy(conf *tls.Config, host string, q url.Values) (secure, error) {
	if conf != nil {
		own := conf.Clone() // the caller's stays as it is
		own.ServerName = cmp.Or(own.ServerName, host)
		own.MinVersion = max(own.MinVersion, tls.VersionTLS12)
		return func() (*tls.Config, error) { return own, nil }, nil
	}
	if verify := q.Get("verify"); verify != "" && verify != "verify_peer" {
		return nil, errors.New("parameter verify: the broker's certificate is always verified; name the authority that signed it with cacertfile")
	}
	files, err := tlsParameters().Read(q, host)
	if err != nil {
		return nil, err
	}
	return files.Config, nil
}

// tlsParameters are RabbitMQ's names.
func tlsParameters() tlsfiles.Parameters {
	return tlsfiles.Parameters{
		Scheme: "amqp", Authority: "cacertfile", Cert: "certfile", Key: "keyfile", Name: "server_name_indication",
	}
}
