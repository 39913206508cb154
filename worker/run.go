package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/pool"
)

// Run declares the queues and runs their tasks until ctx is done; then it shuts down warm: no new deliveries, the running tasks end
// by themselves (for ShutdownTimeout at the most), what was not started goes back to the broker. It returns nil after a clean
// shutdown, an error that wraps ErrAbandoned when tasks had to be left, and any error that keeps the worker from starting.
func (w *Worker) Run(ctx context.Context) error {
	detached := context.WithoutCancel(ctx)
	stop, end := w.begin(ctx)
	defer end()

	p, err := pool.New(w.cfg.Pool, pool.Config{
		Size: w.cfg.Concurrency, MaxStuck: w.cfg.MaxStuck, Hooks: w.cfg.Registry.Hooks(), Logger: w.log,
	})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.setPool(p)
	if err := w.declare(ctx); err != nil {
		if ctx.Err() != nil {
			err = nil // stopped while it waited for its broker: there was nothing to shut down
		}
		closing, cancel := context.WithTimeout(detached, closeWait)
		defer cancel()
		return errors.Join(err, p.Stop(closing))
	}
	defer w.loops.Wait()
	defer w.settleAll()
	defer w.startControl(ctx)()
	w.startQuarantine()
	w.startCollecting()
	w.startBeside()
	w.loops.Go(w.retireIdle)
	in, err := w.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = nil
		}
		stop()
		return errors.Join(err, w.shutdown(detached, nil, nil))
	}
	w.setIntake(in)
	cancelled := w.cancelWhenStopping(detached, in)
	w.warnOfLongTasks(ctx)
	w.log.InfoContext(ctx, "worker ready", "hostname", w.cfg.Hostname)
	err = w.receive(ctx, in)
	stop()
	return errors.Join(err, w.shutdown(detached, in, cancelled))
}

// declare makes sure of the queues. Those of broadcasts are the worker's own, and so are declared in any case.
func (w *Worker) declare(ctx context.Context) error {
	for _, q := range w.consumed {
		if q.fanout == "" {
			continue
		}
		if err := w.cfg.Broker.Declare(ctx, q.topology()); err != nil {
			return fmt.Errorf("worker: broadcast %s: %w", q.fanout, err)
		}
	}
	for _, queue := range w.cfg.Queues {
		names := []string{queue}
		if w.cfg.DeadLetters {
			names = append(names, deadletter.Queue(queue), deadletter.Quarantine(queue))
		}
		for _, name := range names {
			topology := w.topologyOf(name)
			if topology.IsEmpty() {
				continue
			}
			if err := w.cfg.Broker.Declare(ctx, topology); err != nil {
				return fmt.Errorf("worker: %w", err)
			}
		}
	}
	return nil
}

// topologyOf is what to declare for a queue: that of a work queue as configured; one that it has for what goes wrong is like it, and is
// reached through the default exchange. RabbitMQ 4 drops what a quorum queue has delivered twenty times, which looking at dead letters
// does.
func (w *Worker) topologyOf(queue string) broker.Topology {
	t := w.cfg.Topology(queue)
	if slices.Contains(w.cfg.Queues, queue) {
		return t
	}
	t.Exchanges, t.Bindings = nil, nil
	t.Queues = slices.Clone(t.Queues)
	for i, q := range t.Queues {
		if q.Type == broker.Quorum {
			args := broker.Table{broker.ArgDeliveryLimit: int32(math.MaxInt32)}
			maps.Copy(args, q.Arguments)
			t.Queues[i].Arguments = args
		}
	}
	return t
}

// receive takes deliveries until ctx is done. Submitting waits for a free slot, which is all the back-pressure there is.
func (w *Worker) receive(ctx context.Context, in *intake) error {
	for {
		d, from, err := in.next(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = w.settleDelivery(arrive(d, nil), broker.Requeue)
			}
			return nil
		case err != nil:
			return fmt.Errorf("worker: receive: %w", err)
		}
		w.counts.received.Add(1)
		a := arrive(d, nil)
		a.from = from
		if !w.takeTurn(ctx) {
			_ = w.settleDelivery(a, broker.Requeue)
			return nil
		}
		w.accept(ctx, a)
		<-w.turn
	}
}

func (w *Worker) setPool(p pool.Pool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pool = p
}

func (w *Worker) setIntake(in *intake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.intake = in
}

// pause waits for d; it reports whether the time is up rather than ctx done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
