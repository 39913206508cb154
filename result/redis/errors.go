package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/result"
)

// The pauses between attempts at a server that is away: the first one, doubled each time up to the last one.
const (
	pauseFirst = 20 * time.Millisecond
	pauseMax   = time.Second
)

// explain says what the error of a command means and what to do. It never holds a password.
func (b *Backend) explain(ctx context.Context, err error) error {
	reply, ok := rueidis.IsRedisErr(err)
	switch {
	case err == nil:
		return nil
	case ok:
		return b.explainReply(reply)
	case b.waiters.Err() != nil:
		return b.waiters.Err()
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return fmt.Errorf("%w: no answer from %s: %w", result.ErrUnavailable, b.endpoint.address, ctx.Err())
	}
	if why := tlsParameters().Trouble(err); why != "" {
		return fmt.Errorf("%w: TLS with %s failed: %s: %w", result.ErrUnavailable, b.endpoint.address, why, err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("%w: cannot connect to %s: %w; start Redis there or correct the URL", result.ErrUnavailable, b.endpoint.address, op.Err)
	}
	if b.endpoint.tls != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("%w: connection to %s: %w; if it ends at once, %s",
			result.ErrUnavailable, b.endpoint.address, err, tlsParameters().Wanted()) // the alert that says so may be lost with the connection
	}
	return fmt.Errorf("%w: connection to %s: %w", result.ErrUnavailable, b.endpoint.address, err)
}

// explainReply is explain for what the server answered; the client library has cut "ERR " off.
func (b *Backend) explainReply(reply *rueidis.RedisError) error {
	text := reply.Error()
	code, _, _ := strings.Cut(text, " ")
	switch {
	case code == "WRONGPASS", code == "NOAUTH", strings.HasPrefix(text, "invalid password"), strings.HasPrefix(text, "AUTH "):
		return fmt.Errorf("%w: %s at %s; correct user and password in the URL", result.ErrAccess, strings.TrimSuffix(text, "."), b.endpoint.address)
	case code == "NOPERM":
		return fmt.Errorf("%w: %s at %s; permit it for the user (ACL SETUSER)", result.ErrAccess, text, b.endpoint.address)
	case strings.HasPrefix(text, "DB index"), strings.HasPrefix(text, "invalid DB index"):
		return fmt.Errorf("%w: %s: %s has no database %d; correct the number in the URL", result.ErrAccess, text, b.endpoint.address, b.endpoint.database)
	case code == "LOADING", code == "BUSY", code == "MASTERDOWN", code == "READONLY", code == "CLUSTERDOWN",
		strings.HasPrefix(text, "max number of clients"):
		return fmt.Errorf("%w: %s at %s", result.ErrUnavailable, text, b.endpoint.address)
	case code == "OOM":
		return fmt.Errorf("the memory of %s is full (%s); raise maxmemory, or shorten result_expires", b.endpoint.address, text)
	}
	return fmt.Errorf("%s: %s", b.endpoint.address, text)
}

// retry calls try until it works or the error is another one than that the server is away.
func (b *Backend) retry(ctx context.Context, try func() error) error {
	for pause := pauseFirst; ; pause = min(2*pause, pauseMax) {
		if err := b.waiters.Err(); err != nil {
			return err
		}
		err := b.explain(ctx, try())
		if !errors.Is(err, result.ErrUnavailable) {
			return err
		}
		if b.pause(ctx, pause) {
			continue
		}
		if err := b.waiters.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%w (%w)", err, ctx.Err())
	}
}

// pause reports whether the time passed before ctx ended or the store was closed.
func (b *Backend) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-b.life.Done():
	}
	return false
}
