package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// phases are the contexts that a shutdown ends one after the other, each bounding a part of it.
type phases struct {
	stopping context.Context // done: Run's context is, or receiving failed; nothing new starts
	patient  context.Context // done: what began to be settled before the stop has had settleWait
	grace    context.Context // done: the running tasks are cancelled; its cause is the one they see
	settling context.Context // done: what is not settled now goes back to the broker

	attempts bound // one attempt at settling, below patient
	goodbyes bound // telling the broker, whatever has ended

	watchers sync.WaitGroup
}

// begin starts the clock of the shutdown, which runs from the moment that ctx is done or stop is called. end stops it.
func (w *Worker) begin(ctx context.Context) (stop, end func()) {
	detached := context.WithoutCancel(ctx)
	over, finish := context.WithCancel(detached)
	var giveUp, hurry context.CancelFunc
	var endGrace context.CancelCauseFunc
	w.stopping, stop = context.WithCancel(ctx)
	w.settling, giveUp = context.WithCancel(detached)
	w.patient, hurry = context.WithCancel(w.settling)
	w.grace, endGrace = context.WithCancelCause(detached)
	w.attempts.parent, w.attempts.wait = w.patient, 3*retryMax
	w.goodbyes.parent, w.goodbyes.wait = detached, closeWait
	w.watchers.Go(func() {
		if !w.warmIsOver(over) {
			return
		}
		endGrace(task.ErrShutdown)
		if pause(over, killGrace) {
			giveUp()
		}
	})
	w.watchers.Go(func() {
		select {
		case <-w.stopping.Done():
			if pause(over, settleWait) {
				hurry()
			}
		case <-over.Done():
		}
	})
	return stop, func() {
		finish()
		stop()
		w.watchers.Wait()
		endGrace(nil)
		giveUp()
		hurry()
		w.attempts.end()
		w.goodbyes.end()
	}
}

// warmIsOver waits for the end of the warm phase: ShutdownTimeout after the worker began to stop, or when a cold shutdown is asked
// for. False when the run is over before.
func (w *Worker) warmIsOver(over context.Context) bool {
	select {
	case <-w.stopping.Done():
	case <-over.Done():
		return false
	}
	var timeout <-chan time.Time // nil: as long as it takes
	if w.cfg.ShutdownTimeout > 0 {
		timer := time.NewTimer(w.cfg.ShutdownTimeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-timeout:
	case <-w.terminate.Done():
	case <-over.Done():
		return false
	}
	return true
}

// cancelWhenStopping cancels the consumers as soon as the worker stops, also while the receive loop is busy: what was not started
// goes to other workers at once.
func (w *Worker) cancelWhenStopping(ctx context.Context, in *intake) <-chan error {
	cancelled := make(chan error, 1)
	w.watchers.Go(func() {
		<-w.stopping.Done()
		closing, cancel := context.WithTimeout(ctx, closeWait)
		defer cancel()
		cancelled <- in.cancel(closing)
	})
	return cancelled
}

// shutdown is the one order in which everything ends: no new deliveries, the running tasks, their contexts cancelled, the rest given
// back. There is no intake when the worker was stopped before it had one.
func (w *Worker) shutdown(ctx context.Context, in *intake, cancelled <-chan error) error {
	if in != nil {
		if err := <-cancelled; err != nil && !errors.Is(err, broker.ErrClosed) {
			w.log.WarnContext(ctx, "consumer could not be cancelled", "error", err)
		}
	}
	left := w.drain()

	closing, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	w.abandon(ctx)
	if in != nil {
		if err := in.close(closing); err != nil && !errors.Is(err, broker.ErrClosed) {
			w.log.WarnContext(ctx, "consumer could not be closed", "error", err)
		}
	}
	if left > 0 {
		return fmt.Errorf("worker: %w: %d still ran and went back to their queues", ErrAbandoned, left)
	}
	return nil
}

// drain waits for the running tasks and has the contexts of those that outlast the grace cancelled. It returns how many tasks did not
// end by themselves; some of them may still run.
func (w *Worker) drain() int {
	if w.settled(w.grace) == nil {
		return int(w.counts.cut.Load())
	}
	left := w.running.len() + int(w.counts.cut.Load())
	_ = w.settled(w.settling) // what is left then is abandoned
	return left
}

// abandon gives back what still runs, side by side: a broker that does not answer costs its time limit once.
func (w *Worker) abandon(ctx context.Context) {
	var wg sync.WaitGroup
	for _, e := range w.running.all() {
		w.log.WarnContext(ctx, "task abandoned", "task", e.req.Name, "id", e.req.ID)
		wg.Go(e.giveBack)
	}
	wg.Wait()
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

// Terminate turns a warm shutdown into a cold one: the running tasks' contexts are cancelled, and what does not end then goes back to
// the broker. It has no effect before Run's context is done.
func (w *Worker) Terminate() { w.terminated() }
