package amqp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// The two purposes of a connection.
const (
	linkConsume = "consume"
	linkPublish = "publish"
)

const (
	// settledAfter is how long something must hold until its next failure counts as the first one.
	settledAfter = 10 * time.Second
	// goodbye is how long the closing handshake of a connection may take.
	goodbye = time.Second
)

// link supervises the sessions of one purpose: it opens the first when one is wanted and replaces each that is lost, for ever.
type link struct {
	b       *Broker
	name    string
	restore func(context.Context, *session) // rebuilds what the broker forgot with the connection, before a new session is used

	mu      sync.Mutex
	current *session
	last    error         // why there is no current session
	changed chan struct{} // closed and replaced when current changes
	started bool
}

func newLink(b *Broker, name string, restore func(context.Context, *session)) *link {
	return &link{b: b, name: name, restore: restore, changed: make(chan struct{})}
}

// session waits for a live session until ctx ends.
func (l *link) session(ctx context.Context) (*session, error) { return l.await(ctx, false) }

// await is session; with failFast it does not wait once connecting has failed or a session was lost.
func (l *link) await(ctx context.Context, failFast bool) (*session, error) {
	for {
		l.mu.Lock()
		if !l.started {
			l.started = l.b.crew.start(l.supervise)
		}
		current, last, changed := l.current, l.last, l.changed
		l.mu.Unlock()
		if current != nil && current.alive() {
			return current, nil
		}
		if failFast && (current != nil || last != nil) {
			return nil, away(last)
		}
		select {
		case <-changed:
		case <-l.b.life.Done():
			return nil, broker.ErrClosed
		case <-ctx.Done():
			if l.b.life.Err() != nil {
				return nil, broker.ErrClosed
			}
			return nil, l.late(ctx)
		}
	}
}

// late is the error of a request whose context ended; it says why there is no session if there is none.
func (l *link) late(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current != nil && l.current.alive():
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	case l.last == nil:
		return fmt.Errorf("%w: no connection: %w", broker.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("%w: no connection: %w: %w", broker.ErrUnavailable, ctx.Err(), l.last)
}

// away is the error for somebody who does not wait for a connection.
func away(last error) error {
	switch {
	case last == nil:
		return fmt.Errorf("%w: the connection was just lost", broker.ErrUnavailable)
	case errors.Is(last, broker.ErrUnavailable), errors.Is(last, broker.ErrAccess):
		return last
	}
	return fmt.Errorf("%w: no connection: %w", broker.ErrUnavailable, last)
}

// probe reports why there is no session just now; nil when there is one, or when none was asked for yet.
func (l *link) probe() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current != nil && l.current.alive():
		return l.current.alarm.err()
	case l.current == nil && l.last == nil:
		return nil
	}
	return away(l.last)
}

func (l *link) isStarted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

func (l *link) set(s *session, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.last = s, err
	close(l.changed)
	l.changed = make(chan struct{})
}

// supervise connects, hands the session out, waits for its loss, and starts over.
func (l *link) supervise() {
	ctx, log := l.b.life, l.b.cfg.Logger.With("connection", l.name)
	first, failures := true, 0
	for ctx.Err() == nil {
		s, err := l.connect(ctx)
		if err == nil {
			if !first {
				s.innocent = time.Now().Add(settledAfter)
				l.restore(ctx, s)
				log.Info("Connected to broker again", "broker", s.endpoint.String(), "session", s.id)
			}
			first = false
			since := time.Now()
			l.set(s, nil)
			select {
			case <-s.done:
			case <-ctx.Done():
				s.close(goodbye)
			}
			err = s.cause
			if ctx.Err() == nil {
				l.b.counts.lost.Add(1)
			}
			if time.Since(since) >= settledAfter {
				failures = 0
			}
		}
		l.set(nil, err)
		if ctx.Err() != nil {
			return
		}
		if !wait(ctx, l.pauseAfter(s, err, failures)) {
			return
		}
		failures++
	}
}

// pauseAfter says why there is no connection, and how long to wait before the next attempt; s is the session that was lost, nil when
// none could be made.
func (l *link) pauseAfter(s *session, err error, failures int) time.Duration {
	log, pause := l.b.cfg.Logger.With("connection", l.name), l.b.backoff(failures)
	switch {
	case s != nil:
		log.Warn("Connection to broker lost", "broker", s.endpoint.String(), "session", s.id, "error", err, "retry_in", pause)
	case errors.Is(err, broker.ErrAccess): // it does not heal by itself
		pause = max(pause, l.b.cfg.AccessPause)
		log.Error("Cannot connect to broker", "error", err, "retry_in", pause)
	default:
		log.Warn("Cannot connect to broker", "error", err, "retry_in", pause)
	}
	return pause
}

// connect takes the session that Open made, or makes one.
func (l *link) connect(ctx context.Context) (*session, error) {
	if s := l.b.spare.Swap(nil); s != nil && s.alive() {
		return s, nil
	}
	return l.b.connect(ctx)
}

// backoff is the wait after so many failures: a random part of a span that doubles up to its maximum ("full jitter").
func (b *Broker) backoff(failures int) time.Duration {
	span := b.cfg.BackoffMax
	if failures < 30 {
		span = min(span, b.cfg.BackoffMin<<failures)
	}
	return rand.N(span) + time.Millisecond
}

// wait waits for d; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
