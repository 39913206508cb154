package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

const (
	visitEvery    = 5 * time.Second  // the quarantines are looked at
	patienceFirst = 10 * time.Second // for the running tasks to end before a suspect has the worker for itself
	patienceMax   = 10 * time.Minute // the doubling of that ends here
	patienceShare = 4                // times the patience is between two tries
	suspectWait   = time.Second      // for a suspect that was there a moment ago
)

// startQuarantine starts to run suspects, those that wait already before everything else.
func (w *Worker) startQuarantine() {
	if !w.cfg.DeadLetters {
		close(w.examined)
		return
	}
	w.turn <- struct{}{} // nobody else can have it yet
	w.loops.Go(func() {
		w.examineAll(w.stopping)
		close(w.examined)
		<-w.turn
		w.quarantine(w.stopping)
	})
}

// quarantine runs suspects until ctx is done. A suspect has the whole process for itself: when that dies, it is known why.
func (w *Worker) quarantine(ctx context.Context) {
	patience := patienceFirst
	next := visitEvery
	for w.awaitSuspects(ctx, next) {
		next = visitEvery
		if !slices.ContainsFunc(w.cfg.Queues, func(queue string) bool { return w.waiting(ctx, queue) > 0 }) {
			continue
		}
		if w.alone(ctx, patience) {
			w.examineAll(ctx)
			<-w.turn
			patience = patienceFirst
			continue
		}
		if ctx.Err() != nil {
			return
		}
		w.log.WarnContext(ctx, "suspects wait until the running tasks end", "running", w.running.len())
		next = patienceShare * patience
		patience = min(2*patience, patienceMax)
	}
}

// alone waits until nothing runs and keeps everything else from starting. It gives up when that takes too long: tasks that take hours
// must not keep the slots beside them empty.
func (w *Worker) alone(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !w.takeTurn(ctx) {
		return false
	}
	if w.running.wait(ctx) != nil {
		<-w.turn
		return false
	}
	return true
}

// takeTurn waits for the right to start tasks: the receive loop has it for one task, the quarantine for all suspects.
func (w *Worker) takeTurn(ctx context.Context) bool {
	select {
	case w.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitSuspects waits until it is time to look, or until this worker has sent a suspect on; false when ctx is done.
func (w *Worker) awaitSuspects(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.poked:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *Worker) poke() {
	select {
	case w.poked <- struct{}{}:
	default: // it will look
	}
}

// waiting returns how many suspects of a queue wait. A quarantine that cannot be looked at has its turn later.
func (w *Worker) waiting(ctx context.Context, queue string) int {
	measurer, ok := w.cfg.Broker.(broker.Measurer)
	if !ok {
		return 0
	}
	name := deadletter.Quarantine(queue)
	stats, err := measurer.Measure(ctx, name)
	if errors.Is(err, broker.ErrNoQueue) {
		err = w.redeclare(ctx, name)
	}
	if err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "quarantine could not be looked at", "queue", name, "error", err)
	}
	return stats.Messages
}

// examineAll runs the suspects of all queues, one after the other: those that are there now, because a suspect can ask to come again.
// The caller has the turn, and nothing else runs.
func (w *Worker) examineAll(ctx context.Context) {
	for _, queue := range w.cfg.Queues {
		for range w.waiting(ctx, queue) {
			if ctx.Err() != nil || !w.examine(ctx, queue) {
				break
			}
		}
	}
}

// examine runs one suspect and reports whether there was one. A shutdown does not keep it from taking the suspect over, because one that
// the broker takes back from the consumer counts as run.
func (w *Worker) examine(ctx context.Context, queue string) bool {
	name := deadletter.Quarantine(queue)
	opening, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	consumer, err := w.cfg.Broker.Consume(opening, broker.ConsumeConfig{Queues: []string{name}, Prefetch: 1})
	if err != nil {
		w.log.WarnContext(ctx, "quarantine could not be consumed", "queue", name, "error", err)
		return false
	}
	defer w.within(ctx, consumer.Close)
	wait, stop := context.WithTimeout(context.WithoutCancel(ctx), suspectWait)
	defer stop()
	d, err := consumer.Next(wait)
	if err != nil {
		return false // another worker has it
	}
	w.within(ctx, consumer.Cancel) // while this one is out no other comes, so none goes back unseen
	w.counts.received.Add(1)
	d.Queue = queue
	over := make(chan struct{})
	w.accept(ctx, arrive(d, &suspect{quarantine: name, over: over}))
	<-over
	return true
}

// within gives a step of ending a consumer its time.
func (w *Worker) within(ctx context.Context, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	if err := end(ctx); err != nil && !errors.Is(err, broker.ErrClosed) {
		w.log.WarnContext(ctx, "consumer could not be ended", "error", err)
	}
}
