package worker

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
)

// source is what deliveries come from: a consumer, and how much is asked of it.
//
// The prefetch is meant for tasks that run: a few for each slot. Of deliveries that came before their time (see park) no more are on
// their way back than it lets come. Where producers set an ETA without parking, as Celery's do, such deliveries come in long runs; during
// one the prefetch is raised. What is not early comes in greater numbers then, too, and would wait here for a slot while other workers
// are idle: so the prefetch falls back as soon as a task that may start finds no free slot, and what waits behind it goes back to its
// queue. While slots are free it holds nothing up. On RabbitMQ each change costs a new consumer, and what goes back is marked as delivered
// before: so it rises once in runRest at the most.
type source struct {
	consumer broker.Consumer
	log      *slog.Logger
	pulled

	mu     sync.Mutex
	base   int // the prefetch for tasks that run
	run    int // early deliveries in a row
	raised bool
	rest   time.Time   // it does not rise before
	calm   *time.Timer // ends a run after which nothing comes; nil before the first rise
}

const (
	runLength = 8               // early deliveries in a row are a run
	runRest   = 2 * time.Second // after its last one a run is over, and after a fall the prefetch stays down
)

// early notes a delivery that came before its time; a nil source is a quarantine, whose suspects come one by one.
func (s *source) early(ctx context.Context) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run++
	if s.raised {
		s.calm.Reset(runRest)
		return
	}
	if s.run < runLength || time.Now().Before(s.rest) {
		return
	}
	s.raised = true
	if s.calm == nil {
		s.calm = time.AfterFunc(runRest, func() { s.fall(ctx) })
	} else {
		s.calm.Reset(runRest)
	}
	s.change(ctx)
}

// ready notes a delivery that may start.
func (s *source) ready(ctx context.Context, slots pool.Pool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.run = 0
	raised := s.raised
	s.mu.Unlock()
	if raised && slots.Stats().Idle == 0 {
		s.fall(ctx)
	}
}

func (s *source) fall(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.raised {
		return
	}
	s.calm.Stop()
	s.raised, s.rest = false, time.Now().Add(runRest)
	s.change(ctx)
}

// change lets the consumer know. The caller holds mu.
func (s *source) change(ctx context.Context) {
	if err := s.apply(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, broker.ErrClosed) {
		s.log.WarnContext(ctx, "prefetch could not be changed", "error", err)
	}
}

// resize sets the prefetch for tasks that run.
func (s *source) resize(ctx context.Context, prefetch int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = prefetch
	return s.apply(ctx)
}

// apply sets the consumer's prefetch. The caller holds mu.
func (s *source) apply(ctx context.Context) error {
	n := s.base
	if s.raised {
		n += parkWindow
	}
	return s.consumer.SetPrefetch(ctx, min(n, math.MaxUint16))
}

// end stops the timer.
func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm != nil {
		s.calm.Stop()
	}
}
