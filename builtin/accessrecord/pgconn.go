package accessrecord

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const applicationName = "taskq"

// connConfig reads the URL, as libpq does, and adds what finds dead peers.
func connConfig(database string) (*pgx.ConnConfig, error) {
	conn, err := pgx.ParseConfig(database)
	if err != nil { // its text may quote the password
		return nil, fmt.Errorf("accessrecord: database %s: the URL cannot be read; want postgres://user@host:port/name?sslmode=…", redacted(database))
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = applicationName
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	conn.DialFunc = dialer.DialContext
	return conn, nil
}

// connect opens one connection.
func (p *postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, p.conn.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", redacted(p.cfg.Database), err)
	}
	return c, nil
}

// closeConn says goodbye to the server, also when ctx is done.
func closeConn(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.Close(ctx) // it is being thrown away; there is nobody to tell
}

// usable says, without a round trip, whether a task left the connection as it found it (Django's close_if_unusable_or_obsolete).
func usable(c *pgx.Conn) bool {
	return !c.IsClosed() && !c.PgConn().IsBusy() && c.PgConn().TxStatus() == 'I'
}

// interrupt cuts the connection off under its user.
func interrupt(c *pgx.Conn) { _ = c.PgConn().Conn().Close() }

// tcp reports whether a network of net.Dial is TCP.
func tcp(network string) bool { return strings.HasPrefix(network, "tcp") }
