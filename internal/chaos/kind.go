package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/task"
)

// Kind is a sort of task that the load sends.
type Kind string

// The kinds.
const (
	Step  Kind = "step"  // some 10 ms of work
	Slow  Kind = "slow"  // some seconds of work
	Visit Kind = "visit" // access_record, which stores one row
	Retry Kind = "retry" // asks once to be run again, 200 ms later
	Later Kind = "later" // sent with a countdown of two seconds
	Early Kind = "early" // acknowledged when it starts: the one kind that a fault may end for good
	Panic Kind = "panic" // panics
	Crash Kind = "crash" // ends its worker's process
	Bad   Kind = "bad"   // no task can be made of it

	Backoff Kind = "backoff" // asks three times to be run again, after half a second, one and two
	Foreign Kind = "foreign" // with an ETA and straight to its queue, as Celery's clients send it: a worker parks it
	Spread  Kind = "spread"  // sent with each of the delays that have a queue
	Single  Kind = "single"  // one of its key runs at a time
	Only    Kind = "only"    // one of its key waits or runs; others are not sent
	Placed  Kind = "placed"  // two of its key run at a time
	Rated   Kind = "rated"   // starts so often and no more
	Row     Kind = "row"     // sent in a transaction that is committed
	Undone  Kind = "undone"  // sent in a transaction that is rolled back
	Revoked Kind = "revoked" // revoked while it waits for its time
	Chord   Kind = "chord"   // the body of a chord, which is sent whole
	Member  Kind = "member"  // of the chord's header
)

// work are the arguments of the tasks that only take time.
type work struct {
	Milliseconds int    `task:"ms"`
	Key          string `task:"key,optional"` // of those that are limited
}

// The names of the tasks.
const (
	taskWork  = "chaos.work"
	taskRetry = "chaos.retry"
	taskEarly = "chaos.early"
	taskPanic = "chaos.panic"
	taskCrash = "chaos.crash"

	taskBackoff = "chaos.backoff"
	taskSingle  = "chaos.single"
	taskOnly    = "chaos.only"
	taskPlaced  = "chaos.placed"
	taskRated   = "chaos.rated"
)

// signature is the call of a task of a kind.
func (k Kind) signature(id string, patience, countdown time.Duration) task.Signature {
	s := task.Signature{Task: taskWork, Args: []any{patience.Milliseconds()}, CallOptions: task.CallOptions{ID: id, IgnoreResult: true}}
	switch k {
	case Visit:
		visit := accessrecord.Sample()
		visit.Path = "/" + id // which the rows are counted by
		s.Task, s.Args = accessrecord.TaskName, []any{visit}
	case Retry:
		s.Task = taskRetry
	case Early:
		s.Task = taskEarly
	case Panic:
		s.Task = taskPanic
	case Crash:
		s.Task = taskCrash
	case Backoff:
		s.Task = taskBackoff
	case Single, Only, Placed:
		s.Task = map[Kind]string{Single: taskSingle, Only: taskOnly, Placed: taskPlaced}[k]
		s.Args = append(s.Args, keyOf(id))
	case Rated:
		s.Task = taskRated
	case Later, Spread, Revoked:
		s.Countdown = countdown
	case Chord:
		return chordOf(id, patience)
	case Step, Slow, Bad, Foreign, Row, Undone, Member:
	}
	return s
}

// tasks are those that a worker registers besides access_record. crash ends the process.
func tasks(crash func()) []task.Definition {
	return []task.Definition{
		task.New(taskWork, func(ctx context.Context, w work) (struct{}, error) { return struct{}{}, w.do(ctx) }),
		task.New(taskRetry, func(ctx context.Context, w work) (struct{}, error) {
			if err := w.do(ctx); err != nil || task.FromContext(ctx).Retries > 0 {
				return struct{}{}, err
			}
			return struct{}{}, task.RetryAfter(errAgain, 200*time.Millisecond)
		}),
		task.New(taskEarly, func(ctx context.Context, w work) (struct{}, error) { return struct{}{}, w.do(ctx) }, task.AckEarly()),
		task.New(taskPanic, func(context.Context, work) (struct{}, error) { panic("as asked for") }),
		task.New(taskCrash, func(context.Context, work) (struct{}, error) {
			crash()
			return struct{}{}, nil
		}),
		task.New(taskBackoff, func(ctx context.Context, w work) (struct{}, error) {
			tried := task.FromContext(ctx).Retries
			if err := w.do(ctx); err != nil || tried == 3 {
				return struct{}{}, err
			}
			return struct{}{}, task.RetryAfter(errAgain, 500*time.Millisecond<<tried)
		}),
	}
}

var errAgain = errors.New("once more")

func (w work) do(ctx context.Context) error {
	return pause(ctx, time.Duration(w.Milliseconds)*time.Millisecond)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("chaos: interrupted: %w", context.Cause(ctx))
	}
}

// record is middleware that writes each step of every task into the ledger.
func record(l *Ledger, pid int, fatal func(error)) task.Middleware {
	return func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
			write := func(e Event) {
				if err := l.Ran(Ran{ID: req.ID, Retries: req.Retries, Event: e, PID: pid, At: time.Now()}); err != nil {
					fatal(err)
				}
			}
			write(Started)
			defer func() {
				if p := recover(); p != nil {
					write(Failed)
					panic(p)
				}
			}()
			result, err := next.Handle(ctx, req)
			_, again := errors.AsType[*task.RetryError](err)
			switch {
			case again:
				write(Retrying)
			case err != nil:
				write(Failed)
			default:
				write(Done)
			}
			return result, err
		})
	}
}
