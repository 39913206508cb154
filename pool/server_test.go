package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-399731e2/taskq/pool"
)

// conn is a value that a slot owns. It knows who opened and closed it, and fails the test when two use it at once.
type conn struct {
	number   int
	opener   string // goroutine
	inUse    atomic.Bool
	cut      chan struct{} // closed by Interrupt
	cutOnce  sync.Once
	closedBy atomic.Value // goroutine
	broken   atomic.Bool  // what Usable finds
	dead     atomic.Bool  // what Peek and Ping find
}

// server makes conns and counts.
type server struct {
	tb     testing.TB
	down   atomic.Bool
	mu     sync.Mutex
	all    []*conn
	open   int
	most   int
	pings  int
	peeks  int
	reject error // what a down server says
}

func (s *server) resource() *pool.Resource[*conn] {
	return &pool.Resource[*conn]{
		Name: "database", Open: s.dial, Close: s.hangUp,
		Usable: func(c *conn) bool { return !c.broken.Load() },
		Peek: func(c *conn) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.peeks++
			return !c.dead.Load()
		},
		Ping: func(_ context.Context, c *conn) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pings++
			if c.dead.Load() || s.down.Load() {
				return errors.New("no answer")
			}
			return nil
		},
	}
}

func (s *server) dial(context.Context) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		if s.reject != nil {
			return nil, s.reject
		}
		return nil, errors.New("connection refused")
	}
	c := &conn{number: len(s.all) + 1, opener: goroutine(), cut: make(chan struct{})}
	s.all = append(s.all, c)
	s.open++
	s.most = max(s.most, s.open)
	return c, nil
}

func (s *server) hangUp(_ context.Context, c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.closedBy.CompareAndSwap(nil, goroutine()) {
		s.tb.Errorf("connection %d was closed twice", c.number)
	}
	if c.inUse.Load() {
		s.tb.Errorf("connection %d was closed while in use", c.number)
	}
	s.open--
	return nil
}

func (s *server) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *server) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *server) peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *server) pinged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings
}

func (s *server) reset(reject error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reject = reject
}

// query uses the connection as a driver would: it must be alone.
func (s *server) query(c *conn) error {
	if !c.inUse.CompareAndSwap(false, true) {
		s.tb.Errorf("connection %d is used twice at once", c.number)
	}
	defer c.inUse.Store(false)
	if c.closedBy.Load() != nil {
		s.tb.Errorf("connection %d was used after it was closed", c.number)
	}
	return nil
}
