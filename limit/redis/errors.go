package redis

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/internal/redisdial"
	"github.com/seed-399731e2/taskq/limit"
)

// ready returns an error when there is no use in asking the server.
func (s *Store) ready(ctx context.Context) error {
	if s.life.Err() != nil {
		return limit.ErrClosed
	}
	return ctx.Err()
}

// explain says what the error of a command means and what to do. It never holds a password.
func (s *Store) explain(ctx context.Context, err error) error {
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && s.life.Err() != nil {
		return limit.ErrClosed
	}
	return s.endpoint.Explain(ctx, redisdial.Kinds{
		Unavailable: limit.ErrUnavailable, Access: limit.ErrAccess, Full: "move the limits to a server of their own",
	}, err)
}

// Close implements limit.Store. What is under way then fails.
func (s *Store) Close(ctx context.Context) error {
	s.end() // cuts the connections
	closed := make(chan struct{})
	go func() { // ends soon, since they are cut
		defer close(closed)
		if s.client != nil {
			s.client.Close()
		}
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis: close the limit store: %w", ctx.Err())
	}
}
