package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

const (
	visitEvery  = 5 * time.Second  // the quarantines are looked at
	quietWait   = 10 * time.Second // for the running tasks to end before a suspect starts
	aloneFor    = 30 * time.Second // nothing starts beside a suspect; what kills later is told by its next suspicion
	suspectWait = time.Second      // for a suspect that was there a moment ago
)

// startQuarantine starts to run suspects, those that wait already before everything else.
func (w *Worker) startQuarantine() {
	examined := sync.OnceFunc(func() { close(w.examined) })
	if !w.cfg.DeadLetters {
		examined()
		return
	}
	w.loops.Go(func() {
		late := time.AfterFunc(aloneFor, examined) // a suspect that takes hours keeps the worker from nothing
		defer late.Stop()
		w.examineAll(w.stopping)
		examined()
		for w.awaitSuspects(w.stopping, visitEvery) {
			w.examineAll(w.stopping)
		}
	})
}

// quietTurn waits for the right to start tasks, and then, for some time, until nothing runs. What runs on is not what kills: it has
// had its time to.
func (w *Worker) quietTurn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, quietWait)
	defer cancel()
	if !w.takeTurn(ctx) {
		return false
	}
	w.submitCollected(ctx)
	if err := w.running.wait(ctx); err != nil && w.stopping.Err() != nil {
		<-w.turn
		return false
	}
	return true
}

// takeTurn waits for the right to start tasks: the receive loop has it for one task, the quarantine for one suspect.
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
// It gives up for now when the slots are all busy.
func (w *Worker) examineAll(ctx context.Context) {
	for _, queue := range w.cfg.Queues {
		for range w.waiting(ctx, queue) {
			if !w.quietTurn(ctx) {
				return
			}
			release := sync.OnceFunc(func() { <-w.turn })
			found := w.examine(ctx, queue, release)
			release()
			if !found {
				break
			}
		}
	}
}

// examine runs one suspect and reports whether there was one. A shutdown does not keep it from taking the suspect over, because one that
// the broker takes back from the consumer counts as run. Others may start once it has been alone for long enough.
func (w *Worker) examine(ctx context.Context, queue string, others func()) bool {
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
	late := time.AfterFunc(aloneFor, others)
	defer late.Stop()
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
