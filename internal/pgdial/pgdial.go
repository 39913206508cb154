// Package pgdial is what everything here that speaks PostgreSQL does with the address of a server: connections that notice dead peers,
// and errors without passwords.
package pgdial

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// applicationName is what the server shows for a connection (pg_stat_activity) unless the URL says otherwise.
const applicationName = "taskq"

// Prepare adds a name and what finds dead peers.
func Prepare(conn *pgx.ConnConfig) {
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = applicationName
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	conn.DialFunc = dialer.DialContext
}

// Reason is what is wrong with a URL, without the URL and its password.
func Reason(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*pgconn.ParseConfigError](err); ok && errors.Unwrap(e) != nil {
		return errors.Unwrap(e)
	}
	return errors.New("the URL cannot be read")
}

// Redacted returns the URL without its passwords, for errors and logs; what is no URL is not shown when it may hold one.
func Redacted(database string) string {
	u, err := url.Parse(database)
	if err != nil || u.Scheme == "" && strings.ContainsAny(database, "=@:") {
		scheme, _, found := strings.Cut(database, "://")
		if !found {
			return "…"
		}
		return scheme + "://…"
	}
	query := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if query.Has(name) {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return strings.NewReplacer(":xxxxx@", ":**@", "password=xxxxx", "password=**").Replace(u.Redacted())
}
