package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// certificates are the files that a rediss URL names, with redis-py's names for the parameters. They are read for each connection, so
// that renewed ones are picked up.
type certificates struct {
	authority string // empty: the system's
	cert, key string // of the client; may be empty
	name      string // that the server's certificate must have
}

// newCertificates reads the parameters, and the files once, so that mistakes surface with the URL. As everywhere in taskq, the
// server's certificate is always verified.
func newCertificates(q url.Values, host string) (*certificates, error) {
	c := &certificates{authority: q.Get("ssl_ca_certs"), cert: q.Get("ssl_certfile"), key: q.Get("ssl_keyfile"), name: host}
	switch strings.ToLower(strings.TrimPrefix(q.Get("ssl_cert_reqs"), "CERT_")) {
	case "", "required", "optional": // a server always shows its certificate, so that optional is no less
	default:
		return nil, errors.New("parameter ssl_cert_reqs: the server's certificate is always verified; name the authority that signed it with ssl_ca_certs")
	}
	if check := strings.ToLower(q.Get("ssl_check_hostname")); check != "" && check != "true" && check != "1" {
		return nil, errors.New("parameter ssl_check_hostname: the name in the server's certificate is always verified; use that name as the host")
	}
	if (c.cert == "") != (c.key == "") {
		return nil, errors.New("parameters ssl_certfile and ssl_keyfile go together")
	}
	_, err := c.config()
	return c, err
}

func (c *certificates) config() (*tls.Config, error) {
	conf := &tls.Config{ServerName: c.name, MinVersion: tls.VersionTLS12}
	if c.authority != "" {
		pem, err := os.ReadFile(c.authority)
		if err != nil {
			return nil, fmt.Errorf("read ssl_ca_certs: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl_ca_certs: %s holds no certificate in PEM", c.authority)
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("ssl_certfile and ssl_keyfile: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// tlsTrouble says what to do when err is TLS's; "" when it is not.
func tlsTrouble(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &record):
		return "the port does not speak TLS: use its TLS port, or redis:// instead of rediss://"
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority: give that with ssl_ca_certs="
	case errors.As(err, &name):
		return "its certificate is for another name: correct the host"
	case errors.As(err, &invalid):
		return "its certificate has expired or is not valid"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert that the server sent
		return "it refused our side: it may want a client certificate that it trusts (ssl_certfile=, ssl_keyfile=)"
	}
	return ""
}
