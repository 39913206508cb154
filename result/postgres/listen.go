package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
)

const (
	probeEvery   = 30 * time.Second // of a connection that brings nothing
	probeTimeout = 5 * time.Second
	againFirst   = 50 * time.Millisecond
	againLast    = 2 * time.Second
)

// listen keeps the one connection that announcements arrive on until ctx ends. Whatever was announced while there was none is looked
// up once there is one again.
func (b *Backend) listen(ctx context.Context) {
	var log faultLog
	for wait := againFirst; ; wait = min(2*wait, againLast) {
		err := b.listenOnce(ctx, func() {
			log.note(ctx, b.cfg.Logger, "announcements of outcomes do not arrive", nil)
			wait = againFirst
		})
		b.reader.listening.Store(false)
		if ctx.Err() != nil {
			return
		}
		log.note(ctx, b.cfg.Logger, "announcements of outcomes do not arrive", pgdial.Plain(err))
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// listenOnce listens until the connection is lost; begun is called when it is there.
func (b *Backend) listenOnce(ctx context.Context, begun func()) error {
	c, err := pgx.ConnectConfig(ctx, b.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer closeConn(ctx, c)
	if err := b.timed(ctx, func(ctx context.Context) error { _, err := c.Exec(ctx, "LISTEN "+channel); return err }); err != nil {
		return err
	}
	begun()
	b.reader.listening.Store(true)
	b.reader.ask()
	for {
		waiting, cancel := context.WithTimeout(ctx, probeEvery)
		n, err := c.WaitForNotification(waiting)
		silent := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil && b.waiters.Waited(n.Payload):
			b.reader.ask(n.Payload)
		case err == nil:
		case !silent:
			return err
		default:
			if err := b.timed(ctx, c.Ping); err != nil {
				return fmt.Errorf("the server does not answer: %w", err)
			}
		}
	}
}

// timed bounds what must not take long.
func (b *Backend) timed(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, b.cfg.Timeout))
	defer cancel()
	return do(ctx)
}

// closeConn hangs up, also when ctx is done.
func closeConn(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.Close(ctx) // it is being thrown away; there is nobody to tell
	select {
	case <-c.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// faultLog tells of a fault when it begins and when it ends, not each time.
type faultLog struct{ there bool }

func (f *faultLog) note(ctx context.Context, log *slog.Logger, fault string, err error) {
	switch {
	case err != nil && !f.there:
		log.WarnContext(ctx, "result store failed", "reason", fault, "error", err)
	case err == nil && f.there:
		log.InfoContext(ctx, "result store recovered", "reason", fault)
	}
	f.there = err != nil
}
