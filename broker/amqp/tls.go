package amqp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
)

// secure makes the TLS configuration of one connection.
type secure func() (*tls.Config, error)

// secureBy is the caller's configuration, or one made of the URL's parameters, for host. It is made once here, so that mistakes
// surface with the URL.
func secureBy(conf *tls.Config, host string, q url.Values) (secure, error) {
	if conf != nil {
		own := finish(conf.Clone(), host) // the caller's stays as it is
		return func() (*tls.Config, error) { return own, nil }, nil
	}
	files := certificates{
		authority: q.Get("cacertfile"), cert: q.Get("certfile"), key: q.Get("keyfile"),
		name: cmp.Or(q.Get("server_name_indication"), host),
	}
	if (files.cert == "") != (files.key == "") {
		return nil, errors.New("parameters certfile and keyfile go together")
	}
	if verify := q.Get("verify"); verify != "" && verify != "verify_peer" {
		return nil, errors.New("parameter verify: the broker's certificate is always verified; name the authority that signed it with cacertfile")
	}
	_, err := files.config()
	return files.config, err
}

// tlsParameters are those of a URL that mean nothing without TLS.
func tlsParameters() []string {
	return []string{"cacertfile", "certfile", "keyfile", "server_name_indication"}
}

// certificates are the files that an amqps URL names, with RabbitMQ's names for the parameters. They are read for each connection,
// so that renewed ones are picked up.
type certificates struct {
	authority string // empty: the system's
	cert, key string // of the client; may be empty
	name      string // that the broker's certificate must have
}

func (c certificates) config() (*tls.Config, error) {
	conf := &tls.Config{}
	if c.authority != "" {
		pem, err := os.ReadFile(c.authority)
		if err != nil {
			return nil, fmt.Errorf("read cacertfile: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cacertfile %s holds no certificate in PEM", c.authority)
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("certfile and keyfile: %w", err)
		}
		// sent whatever authorities the broker names, so that it says what it dislikes
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return finish(conf, c.name), nil
}

func finish(conf *tls.Config, name string) *tls.Config {
	conf.ServerName = cmp.Or(conf.ServerName, name)
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return conf
}

// tlsTrouble says what is wrong and what to do when err is TLS's; "" when it is not.
func tlsTrouble(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &record):
		return "the port does not speak TLS; use its TLS port or amqp:// instead of amqps://"
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority; give that with cacertfile="
	case errors.As(err, &name):
		return "its certificate is for another name; correct the host or give server_name_indication="
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet; renew it there, or set the clock here"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert that the broker sent
		return "it refused our side; it may want a client certificate that it trusts (certfile=, keyfile=)"
	}
	return ""
}
