package worker

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// settleAtOnce is how many outcomes of a batch are stored and settled at a time: enough for stores that answer many at once. They begin
// in the order in which they came, in which a broker takes one acknowledgement for several.
const settleAtOnce = 64

// batch is requests of one task that run together.
type batch struct {
	w     *Worker
	calls []*execution

	gathering *task.Gathering // of those that begin
}

// run is the job: the function of the batch runs on the slot's goroutine, the handler of each call, which is what decodes its arguments
// and its middleware, on one of its own.
func (b *batch) run(ctx context.Context) {
	var refused sync.WaitGroup // their outcomes may take as long as a store is away, for which the others do not wait
	defer refused.Wait()
	if b.calls = b.begin(ctx, &refused); len(b.calls) == 0 {
		return
	}
	for _, e := range b.calls {
		e.seat(true)
	}
	ends := make([]ending, len(b.calls))
	b.gathering = task.NewGathering(len(b.calls))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := b.limit(ctx, cancel) // from now on the gathering can be ended
	var handlers sync.WaitGroup
	for i, e := range b.calls {
		handlers.Go(func() { ends[i] = b.attend(ctx, e, b.gathering.Seat(i)) })
	}
	b.gathering.End(b.call(ctx))
	handlers.Wait()
	stop()
	var settling errgroup.Group
	settling.SetLimit(settleAtOnce)
	for i, e := range b.calls {
		e.seat(false)
		settling.Go(func() error { e.conclude(ends[i]); return nil })
	}
	_ = settling.Wait() // none returns an error
}

// begin returns the calls that may start; the others are being settled.
func (b *batch) begin(ctx context.Context, refused *sync.WaitGroup) []*execution {
	settle := make([]func(), len(b.calls))
	var all sync.WaitGroup
	for i, e := range b.calls {
		all.Go(func() { settle[i] = e.begin(ctx) })
	}
	all.Wait()
	var ready []*execution
	for i, e := range b.calls {
		if settle[i] == nil {
			ready = append(ready, e)
			continue
		}
		refused.Go(settle[i])
	}
	return ready
}

// attend runs the handler of one call, which waits inside for the batch.
func (b *batch) attend(ctx context.Context, e *execution, seat *task.Seat) ending {
	defer seat.Leave()
	return e.handle(task.WithSeat(ctx, seat), nil)
}

// call runs the function of the batch and turns a panic into an error.
func (b *batch) call(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := make([]uintptr, maxFrames)
			err = &task.PanicError{Value: v, Stack: stack[:runtime.Callers(1, stack)]}
			b.w.log.ErrorContext(ctx, "batch panicked", "task", b.calls[0].req.Name, "error", err)
		}
	}()
	return b.gathering.Run(ctx)
}

// limit starts the timers of the time limits: the shortest of the calls' hold for all of them.
func (b *batch) limit(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	var soft, hard time.Duration
	for _, e := range b.calls {
		s, h := e.limits()
		soft, hard = shortest(soft, s), shortest(hard, h)
	}
	slot := pool.SlotFrom(ctx)
	return timers(
		timer{soft, func() {
			b.w.log.WarnContext(ctx, "soft time limit exceeded", "task", b.calls[0].req.Name, "calls", len(b.calls), "limit", soft.Seconds())
			cancel(task.ErrSoftTimeLimit)
		}},
		timer{hard, func() { b.outlast(ctx, cancel, slot, hard) }},
	)
}

// shortest is the shorter one of two limits, of which 0 is none.
func shortest(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// outlast ends the calls of a batch that does not: on the timer's goroutine, while its function may still run on the given-up slot.
func (b *batch) outlast(ctx context.Context, cancel context.CancelCauseFunc, slot *pool.Slot, hard time.Duration) {
	var ended []*execution
	for _, e := range b.calls {
		if e.claim() {
			ended = append(ended, e)
		}
	}
	if len(ended) == 0 {
		return
	}
	cancel(task.ErrTimeLimit)
	slot.Abandon()
	b.gathering.End(task.ErrTimeLimit)
	var settling errgroup.Group
	settling.SetLimit(settleAtOnce)
	for _, e := range ended {
		settling.Go(func() error {
			b.w.log.ErrorContext(ctx, "hard time limit exceeded", "task", e.req.DisplayName(), "id", e.req.ID, "limit", hard.Seconds())
			e.finish(judge(ending{limit: hard}, e.req.Retries, &e.spec.Settings))
			return nil
		})
	}
	_ = settling.Wait() // none returns an error
}
