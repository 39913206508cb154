package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// BatchPolicy says how many calls of a task are collected before they run together.
type BatchPolicy struct {
	// Size is how many calls a batch has at the most; 1 runs each alone.
	Size int
	// Wait is how long the first call of a batch waits for others at the most.
	Wait time.Duration
}

// Validate refuses a policy that makes no sense.
func (p BatchPolicy) Validate() error {
	switch {
	case p.Size < 1:
		return fmt.Errorf("a batch of %d calls: at least 1 is needed", p.Size)
	case p.Wait <= 0:
		return fmt.Errorf("a batch that waits %s: more than 0 is needed", p.Wait)
	}
	return nil
}

// defaultBatch is what BatchSize and BatchWait change.
func defaultBatch() BatchPolicy { return BatchPolicy{Size: 100, Wait: time.Second} }

// BatchSize is how many calls a task of NewBatch gets at once at the most. The default is 100; 1 runs each alone, until a worker is told
// otherwise (worker.Options.Batches).
func BatchSize(n int) Option { return taskOption(func(s *Settings) { s.batch().Size = n }) }

// BatchWait is how long the first call of a batch waits for others at the most. The default is a second.
func BatchWait(d time.Duration) Option { return taskOption(func(s *Settings) { s.batch().Wait = d }) }

func (s *Settings) batch() *BatchPolicy {
	if s.Batch == nil {
		policy := defaultBatch()
		s.Batch = &policy
	}
	return s.Batch
}

// BatchCall is one call of a batch. What Succeed and Fail say counts once the function of the batch has returned; the last one of
// several does. The methods are safe for concurrent use.
type BatchCall[A, R any] struct {
	Args A

	ctx context.Context
	req *Request

	mu      sync.Mutex
	decided bool
	over    bool // the outcome is on its way; nothing changes it any more
	result  R
	err     error
}

// Context carries the call's request: what is sent with it becomes the call's child, Progress shows the call's. It ends with the
// batch's context, and when this one call is revoked.
func (c *BatchCall[A, R]) Context() context.Context { return c.ctx }

// Request is the call as the worker got it.
func (c *BatchCall[A, R]) Request() *Request { return c.req }

// Succeed makes result the outcome of this call.
func (c *BatchCall[A, R]) Succeed(result R) { c.decide(result, nil) }

// Fail makes err the outcome of this call: everything that an ordinary task may return, such as RetryAfter, Reject and ErrIgnore. nil is
// a success with the zero result.
func (c *BatchCall[A, R]) Fail(err error) {
	var none R
	c.decide(none, err)
}

func (c *BatchCall[A, R]) decide(result R, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.decided, c.result, c.err = true, result, err
	}
}

// end gives the call an outcome if it has none, and keeps others from changing it.
func (c *BatchCall[A, R]) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && !c.decided {
		if c.err = err; errors.Is(err, errNoOutcome) && c.ctx.Err() != nil {
			c.err = context.Cause(c.ctx) // why it was left out
		}
	}
	c.over = true
}

func (c *BatchCall[A, R]) outcome() (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	return c.result, nil
}

var errNoOutcome = errors.New("the batch ended without an outcome for this call: it called neither Succeed nor Fail")

// NewBatch returns a task whose calls are collected and run together: fn gets up to BatchSize of them, BatchWait after the first one at
// the latest. To those who send it, it is a task like any other. Each call has an outcome of its own (BatchCall.Succeed, Fail). The
// error that fn returns, or its panic, is the outcome of every call that has none; nil fails those with an error that says so, except
// where R is struct{}: there it is a success. Parameters and panics of NewBatch as for New.
//
// Arguments that do not fit fail their call, and fn does not see it. The context of fn carries the slot (pool.Resource), and no
// request: that is in BatchCall.Context. Middleware is around each call, not around fn: the handler inside returns when the call's
// outcome is known. Where nothing is collected, outside of a worker and with a BatchSize of 1, the task is an ordinary one that runs a
// batch of one: its context is the call's.
func NewBatch[A, R any](name string, fn func(ctx context.Context, calls []*BatchCall[A, R]) error, opts ...Option) *Task[A, R] {
	t := remote[A, R](name, opts...)
	if err := t.spec.batch().Validate(); err != nil {
		panic(fmt.Sprintf("task %s: %v", name, err))
	}
	_, nothing := any(*new(R)).(struct{})
	run := func(ctx context.Context, calls []gathered) error {
		typed := make([]*BatchCall[A, R], len(calls))
		for i, c := range calls {
			typed[i] = c.(*BatchCall[A, R]) // a batch is of one task
		}
		if err := fn(ctx, typed); err != nil || nothing {
			return err
		}
		return Permanent(errNoOutcome)
	}
	t.spec.Handler = Wrap(HandlerFunc(func(ctx context.Context, req *Request) (any, error) {
		c := &BatchCall[A, R]{ctx: ctx, req: req}
		if err := t.params.bind(shortName(name), req.Arguments, &c.Args); err != nil {
			return nil, err
		}
		if err := join(ctx, c, run); err != nil {
			return nil, err
		}
		return c.outcome()
	}), t.spec.Middleware)
	return t
}
