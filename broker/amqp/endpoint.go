package amqp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// endpoint is one parsed broker URL.
type endpoint struct {
	addr       string // host:port
	host       string
	vhost      string
	user       string
	password   string
	mechanisms []string
	heartbeat  time.Duration // 0: the configuration's
	timeout    time.Duration // 0: the configuration's
	tls        secure        // nil: plain TCP
}

// String is the URL without its password and parameters; it is all of it that may be printed.
func (e *endpoint) String() string {
	scheme := "amqp"
	if e.tls != nil {
		scheme = "amqps"
	}
	return fmt.Sprintf("%s://%s:**@%s/%s", scheme, url.PathEscape(e.user), e.addr, url.PathEscape(e.vhost))
}

// parseEndpoints reads the broker URLs, which ";" separates.
func parseEndpoints(urls string, conf *tls.Config) ([]*endpoint, error) {
	var out []*endpoint
	for part := range strings.SplitSeq(urls, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		e, err := parseEndpoint(part, conf)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("amqp: no broker URL: %w: write amqp://user:password@host:5672/vhost", broker.ErrInvalid)
	}
	return out, nil
}

func parseEndpoint(raw string, conf *tls.Config) (*endpoint, error) {
	refuse := func(why string) error {
		return fmt.Errorf("amqp: broker URL %s: %w: %s", maskURL(raw), broker.ErrInvalid, why)
	}
	u, err := url.Parse(raw)
	if err != nil { // its text quotes the URL with the password, so it is not passed on
		return nil, refuse("write amqp://user:password@host:5672/vhost, special characters in user, password and vhost percent-encoded")
	}
	port, ok := map[string]string{"amqp": "5672", "pyamqp": "5672", "amqps": "5671"}[u.Scheme]
	if !ok {
		return nil, refuse("it must start with amqp:// or amqps://")
	}
	if u.Opaque != "" || u.Fragment != "" {
		return nil, refuse("write amqp://user:password@host:5672/vhost, special characters in user, password and vhost percent-encoded")
	}
	e := &endpoint{host: u.Hostname(), vhost: strings.TrimPrefix(u.Path, "/"), user: "guest", password: "guest"}
	if e.host == "" {
		e.host = "localhost"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if err := errors.Join(e.address(port, u.User), e.parameters(u.Query())); err != nil {
		return nil, refuse(err.Error())
	}
	if u.Scheme == "amqps" {
		if e.tls, err = secureBy(conf, e.host, u.Query()); err != nil {
			return nil, refuse(err.Error())
		}
		return e, nil
	}
	p := tlsParameters()
	for _, name := range []string{p.Authority, p.Cert, p.Key, p.Name} {
		if u.Query().Has(name) { // without TLS the password would travel in the clear, against what the URL means
			return nil, refuse("parameter " + name + " is for amqps://")
		}
	}
	return e, nil
}

// address checks and sets where to connect to and as whom.
func (e *endpoint) address(port string, user *url.Userinfo) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port must be between 1 and 65535")
	}
	e.addr = net.JoinHostPort(e.host, port)
	if e.vhost == "" {
		e.vhost = "/"
	}
	if len(e.vhost) > record.MaxShort {
		return errors.New("the vhost is longer than 255 bytes")
	}
	if user != nil {
		e.user = user.Username()
		if password, ok := user.Password(); ok {
			e.password = password
		}
	}
	return nil
}

func (e *endpoint) parameters(q url.Values) error {
	for name, unit := range map[string]struct {
		dst *time.Duration
		one time.Duration
	}{"heartbeat": {&e.heartbeat, time.Second}, "connection_timeout": {&e.timeout, time.Millisecond}} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.ParseUint(q.Get(name), 10, 31)
		if err != nil {
			return fmt.Errorf("parameter %s must be a whole number", name)
		}
		*unit.dst = time.Duration(n) * unit.one
	}
	if e.heartbeat > 65535*time.Second {
		return errors.New("parameter heartbeat must be at most 65535 seconds")
	}
	for _, m := range q["auth_mechanism"] {
		m = strings.ToUpper(m)
		if !slices.Contains([]string{"PLAIN", "AMQPLAIN", "EXTERNAL"}, m) {
			return errors.New("parameter auth_mechanism must be plain, amqplain or external")
		}
		e.mechanisms = append(e.mechanisms, m)
	}
	return nil
}

// sasl makes new credentials for one connection: the client library empties them after use.
func (e *endpoint) sasl() []amqp091.Authentication {
	if len(e.mechanisms) == 0 {
		return []amqp091.Authentication{&amqp091.PlainAuth{Username: e.user, Password: e.password}}
	}
	var out []amqp091.Authentication
	for _, m := range e.mechanisms {
		switch m {
		case "PLAIN":
			out = append(out, &amqp091.PlainAuth{Username: e.user, Password: e.password})
		case "AMQPLAIN":
			out = append(out, &amqp091.AMQPlainAuth{Username: e.user, Password: e.password})
		case "EXTERNAL":
			out = append(out, &amqp091.ExternalAuth{})
		}
	}
	return out
}

// maskURL hides what may be a password in a URL that may be malformed.
func maskURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		host, _, _ := strings.Cut(rest[at:], "?")
		return strconv.Quote(scheme + user + ":**" + host)
	}
	rest, _, _ = strings.Cut(rest, "?")
	host, tail, ok := strings.Cut(rest, ":")
	if ok && strings.Trim(strings.SplitN(tail, "/", 2)[0], "0123456789") != "" {
		return strconv.Quote(scheme + host + ":**") // no port: perhaps a password whose host is missing
	}
	return strconv.Quote(scheme + rest)
}
