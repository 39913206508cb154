package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/internal/redisdial"
	"github.com/seed-399731e2/taskq/result"
)

// The pauses between attempts at a server that is away: the first one, doubled each time up to the last one.
const (
	pauseFirst = 20 * time.Millisecond
	pauseMax   = time.Second
)

// explain says what the error of a command means and what to do. It never holds a password.
func (b *Backend) explain(ctx context.Context, err error) error {
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && b.waiters.Err() != nil {
		return b.waiters.Err()
	}
	return b.endpoint.Explain(ctx, redisdial.Kinds{Unavailable: result.ErrUnavailable, Access: result.ErrAccess, Full: "shorten result_expires"}, err)
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
