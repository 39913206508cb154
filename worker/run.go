package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// Run declares the queues and runs their tasks until ctx is done; then it shuts down warm: no new deliveries, the running tasks end
// by themselves (for ShutdownTimeout at the most), what was not started goes back to the broker. It returns nil after a clean
// shutdown, an error that wraps ErrAbandoned when tasks had to be left, and any error that keeps the worker from starting.
func (w *Worker) Run(ctx context.Context) error {
	detached := context.WithoutCancel(ctx)
	w.settling, w.giveUp = context.WithCancel(detached)
	defer w.giveUp()

	p, err := pool.New(w.cfg.Pool, pool.Config{
		Size: w.cfg.Concurrency, MaxStuck: w.cfg.MaxStuck, Hooks: w.cfg.Registry.Hooks(), Logger: w.log,
	})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.set(p, nil)
	consumer, err := w.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = nil // stopped while it waited for its broker: there was nothing to shut down
		}
		stop, cancel := context.WithTimeout(detached, closeWait)
		defer cancel()
		return errors.Join(err, p.Stop(stop))
	}
	w.set(p, consumer)
	w.log.InfoContext(ctx, "worker ready", "hostname", w.cfg.Hostname)
	err = w.receive(ctx, consumer)
	return errors.Join(err, w.shutdown(detached, consumer))
}

// open declares the queues and starts the consumer.
func (w *Worker) open(ctx context.Context) (broker.Consumer, error) {
	for _, queue := range w.cfg.Queues {
		topology := w.cfg.Topology(queue)
		if topology.IsEmpty() {
			continue
		}
		if err := w.cfg.Broker.Declare(ctx, topology); err != nil {
			return nil, fmt.Errorf("worker: %w", err)
		}
	}
	consumer, err := w.cfg.Broker.Consume(ctx, broker.ConsumeConfig{
		Queues: w.cfg.Queues, Prefetch: w.cfg.Concurrency * w.cfg.PrefetchMultiplier,
	})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return consumer, nil
}

// receive takes deliveries until ctx is done. Submitting waits for a free slot, which is all the back-pressure there is.
func (w *Worker) receive(ctx context.Context, consumer broker.Consumer) error {
	for {
		d, err := consumer.Next(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = w.settleDelivery(d, broker.Requeue)
			}
			return nil
		case err != nil:
			return fmt.Errorf("worker: receive: %w", err)
		}
		w.counts.received.Add(1)
		w.accept(ctx, d)
	}
}

// shutdown is the one order in which everything ends: no new deliveries, the running tasks, their contexts cancelled, the rest given
// back.
func (w *Worker) shutdown(ctx context.Context, consumer broker.Consumer) error {
	closing, cancel := context.WithTimeout(ctx, closeWait)
	err := consumer.Cancel(closing)
	cancel()
	if err != nil && !errors.Is(err, broker.ErrClosed) {
		w.log.WarnContext(ctx, "consumer could not be cancelled", "error", err)
	}
	left := w.drain(ctx)

	closing, cancel = context.WithTimeout(ctx, closeWait)
	defer cancel()
	if err := consumer.Close(closing); err != nil && !errors.Is(err, broker.ErrClosed) {
		w.log.WarnContext(ctx, "consumer could not be closed", "error", err)
	}
	if left > 0 {
		return fmt.Errorf("worker: %w: %d still ran and went back to their queues", ErrAbandoned, left)
	}
	return nil
}

// drain waits for the running tasks, has the contexts of those that outlast the grace cancelled, and gives back what is left. It
// returns how many tasks did not end by themselves.
func (w *Worker) drain(ctx context.Context) int {
	grace, cancel := w.grace(ctx)
	err := w.settled(grace)
	cancel(nil)
	if err == nil {
		return 0
	}
	left := w.running.len()
	wait, stop := context.WithTimeout(ctx, killGrace)
	defer stop()
	if w.settled(wait) == nil {
		return left
	}
	w.giveUp() // outcomes that cannot be stored
	for _, e := range w.running.all() {
		w.log.WarnContext(ctx, "task abandoned", "task", e.req.Name, "id", e.req.ID)
		e.giveBack()
	}
	return left
}

// settled stops the pool, which hands back the jobs that wait for their slot's resources and cancels what still runs when ctx ends,
// and waits until every execution is settled. Slots that were given up do not count: their tasks are settled.
func (w *Worker) settled(ctx context.Context) error {
	err := w.pool.Stop(ctx)
	if left, ok := errors.AsType[*pool.LeftError](err); ok && left.Cause == nil {
		w.log.WarnContext(ctx, "tasks that were given up still run", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	return w.running.wait(ctx)
}

// grace is the context of a warm shutdown: it ends with the timeout or when a cold one is asked for, and its cause is the cause that
// the tasks see.
func (w *Worker) grace(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.terminate, func() { cancel(task.ErrShutdown) })
	if w.cfg.ShutdownTimeout <= 0 {
		return ctx, func(cause error) { stop(); cancel(cause) }
	}
	timer := time.AfterFunc(w.cfg.ShutdownTimeout, func() { cancel(task.ErrShutdown) })
	return ctx, func(cause error) { stop(); timer.Stop(); cancel(cause) }
}

// Terminate turns a warm shutdown into a cold one: the running tasks' contexts are cancelled, and what does not end then goes back to
// the broker. It has no effect before Run's context is done.
func (w *Worker) Terminate() { w.terminated() }

func (w *Worker) set(p pool.Pool, c broker.Consumer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pool, w.consumer = p, c
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
