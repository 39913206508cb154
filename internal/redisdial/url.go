package redisdial

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/tlsfiles"
)

const (
	defaultHost    = "localhost"
	defaultPort    = "6379"
	connectTimeout = 5 * time.Second
	// answerTimeout is how long a server may be silent before its connection counts as lost.
	answerTimeout = 10 * time.Second
)

// Endpoint is what a URL says. Make it with ParseURL.
type Endpoint struct {
	address            string // host:port
	username, password string
	database           int
	tls                *tlsfiles.Files // nil: without TLS
	connect, answer    time.Duration
	name               string // of the client, for the server's lists
	resp2              bool
}

// ParseURL reads redis://user:password@host:6379/0 and rediss://…, with the query parameters that Celery and redis-py have for them
// (celery/backends/redis.py, _params_from_url). Errors wrap broker.ErrInvalid and do not repeat the URL, which may hold a password.
func ParseURL(text string) (*Endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("redis: %w: the URL cannot be read: special characters in the user name and password must be written in %%-code", broker.ErrInvalid)
	}
	switch u.Scheme {
	case "redis", "rediss":
	case "sentinel":
		return nil, fmt.Errorf("redis: %w: sentinel:// is not supported: name the master's address with redis://", broker.ErrInvalid)
	case "socket", "unix", "redis+socket":
		return nil, fmt.Errorf("redis: %w: Unix sockets are not supported: use redis://localhost", broker.ErrInvalid)
	default:
		return nil, fmt.Errorf("redis: %w: a URL starts with redis:// or rediss://", broker.ErrInvalid)
	}
	ep := &Endpoint{connect: connectTimeout, answer: answerTimeout, name: "taskq"}
	host := cmp.Or(u.Hostname(), defaultHost)
	ep.address = net.JoinHostPort(host, cmp.Or(u.Port(), defaultPort))
	ep.username = u.User.Username()
	ep.password, _ = u.User.Password()
	if err := ep.readQuery(u, host); err != nil {
		return nil, fmt.Errorf("redis: %w: %w", broker.ErrInvalid, err)
	}
	return ep, nil
}

func (ep *Endpoint) readQuery(u *url.URL, host string) (err error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the parameters of the URL cannot be read")
	}
	for name := range q {
		if !slices.Contains(parameters(), name) {
			return fmt.Errorf("unknown parameter %q in the URL", name)
		}
	}
	database := cmp.Or(q.Get("virtual_host"), q.Get("db"), strings.Trim(u.Path, "/"), "0")
	if ep.database, err = strconv.Atoi(database); err != nil || ep.database < 0 {
		return errors.New("the URL's path is the number of the database, such as /0")
	}
	if ep.connect, err = timeout(q, "socket_connect_timeout", ep.connect); err != nil {
		return err
	}
	if ep.answer, err = timeout(q, "socket_timeout", ep.answer); err != nil {
		return err
	}
	ep.username, ep.password = cmp.Or(q.Get("username"), ep.username), cmp.Or(q.Get("password"), ep.password)
	ep.name, ep.resp2 = cmp.Or(q.Get("client_name"), ep.name), q.Get("protocol") == "2"
	if u.Scheme == "rediss" {
		ep.tls, err = readFiles(q, host)
		return err
	}
	for name := range q {
		if strings.HasPrefix(name, "ssl_") {
			return fmt.Errorf("parameter %s needs TLS: use rediss:// instead of redis://", name)
		}
	}
	return nil
}

// parameters are those that may stand in a URL. The last line's say how redis-py treats its connections and mean nothing here.
func parameters() []string {
	return []string{
		"virtual_host", "db", "username", "password", "client_name", "protocol", "socket_connect_timeout", "socket_timeout",
		"ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile",
		"max_connections", "retry_on_timeout", "socket_keepalive", "health_check_interval",
	}
}

func timeout(q url.Values, name string, otherwise time.Duration) (time.Duration, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds <= 0 || seconds > (24*time.Hour).Seconds() {
		return 0, fmt.Errorf("parameter %s: a number of seconds is wanted", name)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
