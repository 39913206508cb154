package accessrecord

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/netpeek"
	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// connConfig reads the URL, as libpq does, and adds what finds dead peers.
func connConfig(database string) (*pgx.ConnConfig, error) {
	conn, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, fmt.Errorf("accessrecord: database %s: %w", pgdial.Redacted(database), pgdial.Reason(err))
	}
	pgdial.Prepare(conn)
	return conn, nil
}

// connect opens one connection.
func (p *postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, p.conn.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", pgdial.Redacted(p.cfg.Database), pgdial.Plain(err))
	}
	return c, nil
}

// hangUp says goodbye and waits until the socket is closed, so that a slot never has two.
func hangUp(ctx context.Context, c *pgx.Conn) error {
	err := c.Close(ctx)
	select {
	case <-c.PgConn().CleanupDone():
	case <-ctx.Done():
	}
	return err
}

// closeConn hangs up, also when ctx is done.
func closeConn(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = hangUp(ctx, c) // it is being thrown away; there is nobody to tell
}

// usable says, without a round trip, whether a task left the connection as it found it (Django's close_if_unusable_or_obsolete).
func usable(c *pgx.Conn) bool {
	return !c.IsClosed() && !c.PgConn().IsBusy() && c.PgConn().TxStatus() == 'I'
}

// peek looks at an idle connection, without a round trip: a server that ends it says so (57P01), or hangs up. Under TLS a readable
// connection may be in order; a new one costs less than to find out.
func peek(c *pgx.Conn) bool {
	state := netpeek.Alive(c.PgConn().Conn())
	return state == netpeek.Quiet || state == netpeek.Unknown // Unknown: not on this system; a try that fails is repeated
}

// interrupt cuts the connection off under its user.
func interrupt(c *pgx.Conn) {
	conn := c.PgConn().Conn()
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn() // closing the outer one says goodbye first, which may block
	}
	_ = conn.Close() // it fails when it is closed already
}
