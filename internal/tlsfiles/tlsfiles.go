// Package tlsfiles makes TLS configurations of the certificate files that a URL names, and says what to do when TLS fails. The brokers
// and stores differ only in how they call the parameters.
package tlsfiles

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

// Parameters are the names of a URL's parameters for TLS.
type Parameters struct {
	Scheme    string // of the URL without TLS; an s follows with it
	Authority string // the file of those who sign servers' certificates
	Cert, Key string // the files of the client
	Name      string // the name in the server's certificate; empty: there is no such parameter, it is the host
}

// Files are what a URL says. They are read for each connection, so that renewed ones are picked up.
type Files struct {
	Parameters Parameters
	Authority  string // empty: the system's
	Cert, Key  string // of the client; may be empty
	Name       string // that the server's certificate must have
}

// Read takes the files from a URL's query. They are read once, so that mistakes surface with the URL.
func (p Parameters) Read(q url.Values, host string) (*Files, error) {
	f := &Files{Parameters: p, Authority: q.Get(p.Authority), Cert: q.Get(p.Cert), Key: q.Get(p.Key), Name: host}
	if p.Name != "" {
		f.Name = cmp.Or(q.Get(p.Name), host)
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("parameters %s and %s go together", p.Cert, p.Key)
	}
	_, err := f.Config()
	return f, err
}

// Config reads the files for one connection.
func (f *Files) Config() (*tls.Config, error) {
	conf := &tls.Config{ServerName: f.Name, MinVersion: tls.VersionTLS12}
	if f.Authority != "" {
		pem, err := os.ReadFile(f.Authority)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Parameters.Authority, err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s %s holds no certificate in PEM", f.Parameters.Authority, f.Authority)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.Parameters.Cert, f.Parameters.Key, err)
		}
		// sent whatever authorities the server names, so that it says what it dislikes
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return conf, nil
}

// Trouble says what is wrong and what to do when err is TLS's; "" when it is not.
func (p Parameters) Trouble(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &record):
		return fmt.Sprintf("the port does not speak TLS; use its TLS port or %s:// instead of %[1]ss://", p.Scheme)
	case errors.As(err, &authority):
		return fmt.Sprintf("its certificate is signed by an unknown authority; give that with %s=", p.Authority)
	case errors.As(err, &name) && p.Name == "":
		return "its certificate is for another name; correct the host"
	case errors.As(err, &name):
		return fmt.Sprintf("its certificate is for another name; correct the host or give %s=", p.Name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet; renew it there, or set the clock here"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert that the server sent
		return "it refused our side; " + p.Wanted()
	}
	return ""
}

// Wanted is the advice for a server that ends the handshake: the alert that says why may be lost with the connection.
func (p Parameters) Wanted() string {
	return fmt.Sprintf("it may want a client certificate that it trusts (%s=, %s=)", p.Cert, p.Key)
}
