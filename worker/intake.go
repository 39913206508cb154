package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// intake is where the worker's deliveries come from: one consumer of all queues or, where it matters which one comes first, a consumer for
// each.
//
// Each consumer has the prefetch of the whole worker, since any queue may be the only one with tasks: the broker may send up to
// queues × slots × PrefetchMultiplier messages here, as it does to one consumer of several queues. Of them one of each queue is taken
// over here before its turn; the consumers keep the others, or give them back when nobody asks for them in time.
type intake struct {
	w        *Worker
	sources  []*source
	turns    *turns        // nil: there is one source
	patience time.Duration // how long a delivery waits here for its turn; then it goes back, because others may have time for it

	pulls sync.WaitGroup
	life  context.Context // done: nothing more is pulled
	end   context.CancelFunc

	mu      sync.Mutex
	failed  error
	changed chan struct{} // something was pulled, or has failed; buffered
}

const (
	// handOver is how long a queue whose turn it is may take to come up with its next delivery. One that does not has none, until it does.
	handOver = 2 * time.Millisecond
	// heldFor is the patience where the broker has enough of it.
	heldFor = 15 * time.Minute
)

// pulled is the next delivery of a source; guarded by the intake's mu.
type pulled struct {
	held  *broker.Delivery // nil: there is none yet
	since time.Time        // since when the source is asked for it; zero: it is not
	dry   bool             // it had its turn for longer than handOver, and has given none since

	ask, taken chan struct{} // buffered
}

// open starts the consumers. Suspects that wait come first: what a consumer holds when one of them kills the process would be suspected,
// too.
func (w *Worker) open(ctx context.Context) (*intake, error) {
	select {
	case <-w.examined:
	case <-ctx.Done():
	}
	in := &intake{w: w, patience: heldFor, changed: make(chan struct{}, 1)}
	if b, ok := w.cfg.Broker.(broker.Impatient); ok {
		in.patience = b.DeliveryTimeout() / 2
	}
	in.life, in.end = context.WithCancel(w.settling)
	groups := [][]consumed{w.consumed}
	if w.separate() {
		groups = slices.Collect(slices.Chunk(w.consumed, 1))
		in.turns = w.turns()
	}
	for _, group := range groups {
		if err := in.consume(ctx, group); err != nil {
			in.end()
			w.within(ctx, in.close)
			return nil, fmt.Errorf("worker: %w", err)
		}
	}
	if in.turns != nil {
		for _, s := range in.sources {
			in.pulls.Go(func() { in.pull(s) })
		}
	}
	return in, nil
}

// turns are those of the queues.
func (w *Worker) turns() *turns {
	t := &turns{credit: make([]int, len(w.consumed))}
	if w.cfg.QueueOrder != Strict {
		for _, q := range w.consumed {
			t.weights = append(t.weights, q.weight)
		}
	}
	return t
}

func (in *intake) consume(ctx context.Context, group []consumed) error {
	cfg := broker.ConsumeConfig{Prefetch: in.w.prefetch(in.w.cfg.Concurrency), Priority: in.w.cfg.ConsumerPriority}
	for _, q := range group {
		cfg.Queues = append(cfg.Queues, q.queue)
	}
	consumer, err := in.w.cfg.Broker.Consume(ctx, cfg)
	if err != nil {
		return err
	}
	in.sources = append(in.sources, &source{
		consumer: consumer, log: in.w.log, base: cfg.Prefetch,
		pulled: pulled{ask: make(chan struct{}, 1), taken: make(chan struct{}, 1)},
	})
	return nil
}

// prefetch is how many deliveries the worker holds for so many slots. A queue that has a consumer of its own may fill all slots, and has
// one that waits for a slot and one at hand besides, so that its turn does not pass while the broker sends the next.
func (w *Worker) prefetch(slots int) int {
	n := slots * w.cfg.PrefetchMultiplier
	if w.separate() {
		n = max(n, slots+2)
	}
	return n + w.batchPrefetch(n, slots)
}

// separate reports whether each queue has a consumer of its own.
func (w *Worker) separate() bool {
	return len(w.consumed) > 1 && (w.cfg.QueueOrder == Strict || len(w.cfg.Weights) > 0)
}

// next waits for the delivery whose turn it is.
func (in *intake) next(ctx context.Context) (*broker.Delivery, *source, error) {
	if in.turns == nil {
		s := in.sources[0]
		d, err := s.consumer.Next(ctx)
		return d, s, err
	}
	for began := time.Now(); ; {
		d, s, wait, err := in.take(began)
		if d != nil || err != nil {
			return d, s, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-in.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("worker: next: %w", ctx.Err())
		}
	}
}

// take returns the delivery whose turn it is or, when it is not here yet, how long to wait for it; the turn began then at the earliest. The
// queue whose turn it is is asked first, so that little is held of those that have to wait.
func (in *intake) take(began time.Time) (*broker.Delivery, *source, time.Duration, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed != nil {
		return nil, nil, 0, in.failed
	}
	may := make([]bool, len(in.sources))
	for i, s := range in.sources {
		may[i] = !s.dry
	}
	for i := in.turns.next(may); i >= 0; i = in.turns.next(may) {
		s := in.sources[i]
		if d := s.held; d != nil {
			in.turns.took(i, may)
			s.held = nil
			s.taken <- struct{}{}
			s.askNow()
			return d, s, 0, nil
		}
		if s.since.IsZero() {
			s.askNow()
		}
		if s.since.After(began) {
			began = s.since
		}
		if waited := time.Since(began); waited < handOver {
			return nil, nil, handOver - waited, nil
		}
		s.dry, may[i] = true, false
	}
	return nil, nil, in.patience, nil // all are asked
}

// askNow asks a source for its next delivery. The caller holds the intake's mu.
func (s *source) askNow() {
	s.since = time.Now()
	s.ask <- struct{}{}
}

// pull gets deliveries of a source as they are asked for.
func (in *intake) pull(s *source) {
	for {
		select {
		case <-s.ask:
		case <-in.life.Done():
			return
		}
		d, err := s.consumer.Next(in.life)
		if err != nil {
			in.fail(err)
			return
		}
		in.hold(s, d)
	}
}

func (in *intake) fail(err error) {
	if in.life.Err() != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.failed = errors.Join(in.failed, err)
	in.change()
}

// change wakes next. The caller holds mu.
func (in *intake) change() {
	select {
	case in.changed <- struct{}{}:
	default: // it will look
	}
}

// hold keeps a delivery until its turn, for some time.
func (in *intake) hold(s *source, d *broker.Delivery) {
	in.mu.Lock()
	s.held, s.dry = d, false
	in.change()
	in.mu.Unlock()
	timer := time.NewTimer(in.patience)
	defer timer.Stop()
	select {
	case <-s.taken:
		return
	case <-timer.C:
	case <-in.life.Done():
	}
	in.mu.Lock()
	left := s.held != nil
	if left {
		s.held, s.since = nil, time.Time{}
	}
	in.mu.Unlock()
	if !left {
		<-s.taken
		return
	}
	_ = in.w.settleDelivery(arrive(d, nil), broker.Requeue) // counted there
}

// resize sets the prefetch.
func (in *intake) resize(ctx context.Context, prefetch int) error {
	return in.each(func(s *source) error { return s.resize(ctx, prefetch) })
}

// cancel stops new deliveries and gives back what was not handed out.
func (in *intake) cancel(ctx context.Context) error {
	in.end()
	err := in.each(func(s *source) error {
		s.end()
		return s.consumer.Cancel(ctx)
	})
	in.pulls.Wait()
	return err
}

// close gives back what is unsettled.
func (in *intake) close(ctx context.Context) error {
	return in.each(func(s *source) error {
		s.end()
		return s.consumer.Close(ctx)
	})
}

// each does something to all sources, side by side.
func (in *intake) each(do func(*source) error) error {
	errs := make([]error, len(in.sources))
	var wg sync.WaitGroup
	for i, s := range in.sources {
		wg.Go(func() { errs[i] = do(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
