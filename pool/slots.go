package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	eagerSlots      = 32 // a goroutines pool starts so many at once, and more when jobs come for them
	leastMaxStuck   = 8
	defaultRetryMin = 100 * time.Millisecond
	defaultRetryMax = 5 * time.Second
)

var _ Pool = (*slots)(nil)

// slots is the one pool behind all kinds.
type slots struct {
	kind Kind
	cfg  Config
	log  *slog.Logger

	checkers []Checker // among cfg.Hooks

	jobs     chan Job      // unbuffered: a job is taken by a slot or not at all; never closed
	stopping chan struct{} // closed by Stop
	drained  chan struct{} // closed when the pool is stopping and its last seat has left

	root   context.Context // never cancelled: for hooks that close
	base   context.Context // parent of the jobs' contexts; cancelled when the grace of Stop is over
	cancel context.CancelCauseFunc
	awake  context.Context // parent of the seats' lives, below base; ends at the beginning of Stop
	halted context.CancelCauseFunc

	unstarted atomic.Int64 // slots that are started when a job comes for them; written under mu
	panics    atomic.Uint64

	mu      sync.Mutex
	stopped bool
	size    int
	lastID  int
	seats   map[*seat]struct{} // whose goroutine runs, without the stuck
	stuck   map[*seat]struct{}
	started uint64 // jobs of the seats that have left
	done    uint64
}

// New starts a pool; Stop ends it. It refuses a Config that this kind of pool cannot have.
func New(kind Kind, cfg Config) (Pool, error) {
	if kind == Solo && cfg.Size == 0 {
		cfg.Size = 1
	}
	if err := checkSize(kind, cfg.Size); err != nil {
		return nil, err
	}
	if cfg.RetryMin < 0 || cfg.RetryMax < 0 {
		return nil, errors.New("pool: RetryMin and RetryMax must not be negative")
	}
	p := &slots{
		kind:     kind,
		cfg:      cfg.withDefaults(),
		jobs:     make(chan Job),
		stopping: make(chan struct{}),
		drained:  make(chan struct{}),
		root:     context.Background(), // a pool outlives the call that makes it; Stop ends it
		size:     cfg.Size,
		seats:    map[*seat]struct{}{},
		stuck:    map[*seat]struct{}{},
	}
	p.log = p.cfg.Logger
	for _, h := range cfg.Hooks {
		if c, ok := h.(Checker); ok {
			p.checkers = append(p.checkers, c)
		}
	}
	p.base, p.cancel = context.WithCancelCause(p.root)
	p.awake, p.halted = context.WithCancelCause(p.base)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fill(0)
	return p, nil
}

func (c Config) withDefaults() Config {
	if c.MaxStuck == 0 {
		c.MaxStuck = max(c.Size, leastMaxStuck)
	}
	c.MaxStuck = max(c.MaxStuck, 0)
	if c.RetryMin == 0 {
		c.RetryMin = defaultRetryMin
	}
	if c.RetryMax == 0 {
		c.RetryMax = max(defaultRetryMax, c.RetryMin)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func checkSize(kind Kind, n int) error {
	switch kind {
	case Solo:
		if n != 1 {
			return fmt.Errorf("pool: solo has exactly one slot, not %d: its jobs run strictly one after another; use %s or %s for more",
				n, Threads, Goroutines)
		}
	case Threads, Goroutines:
		if n < 1 {
			return fmt.Errorf("pool: %s needs at least one slot, not %d", kind, n)
		}
	default:
		_, _, err := ParseKind(string(kind))
		if err == nil {
			err = fmt.Errorf("pool: %q is not a Kind: use ParseKind", kind)
		}
		return err
	}
	return nil
}

// Submit implements Pool.
func (p *slots) Submit(ctx context.Context, job Job) error {
	if job == nil {
		return errors.New("pool: submit: the job is nil")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-p.stopping: // looked at first, so that Submit after Stop never succeeds by chance
		return ErrStopped
	default:
	}
	if p.offer(job) {
		return nil
	}
	select {
	case p.jobs <- job:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.stopping:
		return ErrStopped
	}
}

// offer gives the job to a slot that waits for one, at less than half the cost of waiting for a slot; without such a slot it starts one
// more, when there is one to start.
func (p *slots) offer(job Job) bool {
	select {
	case p.jobs <- job:
		return true
	default:
	}
	if p.unstarted.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped && p.unstarted.Load() > 0 {
		p.unstarted.Add(-1)
		p.spawn(0)
	}
	return false
}

// Stats implements Pool.
func (p *slots) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Stats{
		Kind: p.kind, Size: p.size, Stuck: len(p.stuck), MaxStuck: p.cfg.MaxStuck,
		Idle: int(p.unstarted.Load()), Started: p.started, Done: p.done, Panics: p.panics.Load(),
	}
	for s := range p.seats {
		started, done := s.counts()
		st.Started += started
		st.Done += done
		switch s.status() {
		case opening:
			st.Opening++
		case idle:
			st.Idle++
		case busy:
			st.Busy++
		case closing:
		}
	}
	for s := range p.stuck {
		started, done := s.counts()
		st.Started += started
		st.Done += done
	}
	return st
}
