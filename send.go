package taskq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// Send implements task.Sender: it returns once the broker has taken responsibility for the call. What the call leaves open is taken
// from the options of its task, when that is registered here, and from Config.Call. A task sent from within a task becomes its child.
// While the broker is away Send waits until ctx ends, unless the call says task.FailFast or task.PublishRetry. An error that wraps
// broker.ErrUnconfirmed leaves open whether the call was taken; to send it again with the same id is safe where the task is
// idempotent. One that wraps broker.ErrInvalid says why the call cannot be sent as it is. A *task.DuplicateError says that another call
// waits already, of a task that is task.Unique; while the limit store is away the error wraps limit.ErrUnavailable.
//
// Of a workflow, a chain, group or chord, Send sends what it starts with: the first call of a chain, the members of a group, those of a
// chord's header. Nothing is sent unless all of that can be, and a duplicate among it refuses the whole. The result of a chain is that of
// its last step, and its Parents are the steps before; that of a group has its members; that of a chord is its body's, and its Parent is
// the header. A chord is noted in the result store before, which must be one that counts: with rpc:// and without a store it is refused.
//
// Should the broker take some of the calls of a workflow and not others, the error wraps a *task.BatchError that says which, in the order
// in which they stand in the workflow, and the result comes with it: what was sent runs, unless it is revoked. A chord of which a call
// was not sent is forgotten, so that its body never runs; it is left alone where all that is known of the call is broker.ErrUnconfirmed.
func (a *App) Send(ctx context.Context, s task.Signature) (*task.Result[any], error) {
	if s.Type != "" {
		return a.sendWorkflow(ctx, s)
	}
	s, err := a.complete(ctx, s, time.Now())
	if err != nil {
		return nil, err
	}
	held, err := a.hold(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	result, err := a.sendPatiently(ctx, s)
	held.sent(ctx, err)
	return result, err
}

// sendPatiently tries as often as the call says.
func (a *App) sendPatiently(ctx context.Context, s task.Signature) (*task.Result[any], error) {
	for tries := 0; ; tries++ {
		result, err := a.send(ctx, s)
		if err == nil || !again(s, err, tries) {
			return result, tried(err, tries)
		}
		if end := pause(ctx, s.Publish.Wait(tries)); end != nil {
			return nil, fmt.Errorf("%w (%w)", tried(err, tries), end)
		}
	}
}

// send tries once.
func (a *App) send(ctx context.Context, s task.Signature) (*task.Result[any], error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.prepare(ctx, conn, s)
	if err != nil {
		return nil, err
	}
	if err := a.publish(ctx, conn.broker, c.Outgoing, c.msg); err != nil {
		return nil, c.failed(err)
	}
	noteChild(ctx, s)
	return a.result(c), nil
}

// call is one call on its way out.
type call struct {
	wire.Outgoing
	msg     broker.Message
	results task.Results // nil: nobody keeps the outcome
	mute    error        // why nobody will know it, where it would be kept otherwise; nil when nothing is in the way
}

// noteChild notes a call that was sent as a child of the task that sent it.
func noteChild(ctx context.Context, s task.Signature) {
	if !s.Detached {
		task.TrailFrom(ctx).Add(task.Ref{ID: s.ID})
	}
}

func (c *call) failed(err error) error { return sendError(c.Task, err) }

func sendError(task string, err error) error { return fmt.Errorf("taskq: send %s: %w", task, err) }

// unsendable is an error of a call that cannot be sent as it is.
type unsendable struct{ error }

// Is makes it broker.ErrInvalid.
func (*unsendable) Is(target error) bool { return target == broker.ErrInvalid }

// Unwrap returns the cause.
func (e *unsendable) Unwrap() error { return e.error }

// complete fills in what the caller left open.
func (a *App) complete(ctx context.Context, s task.Signature, now time.Time) (task.Signature, error) {
	d, err := a.destination(ctx, s)
	if err != nil {
		return s, sendError(s.Task, err)
	}
	s = d.Call
	s.FailFast = s.FailFast || s.Publish != nil // each of the tries
	if s.ID == "" {
		s.ID = uuid.NewString()
	}
	s.ETA, s.Expires = s.Times(now)
	if parent := task.FromContext(ctx); parent != nil {
		s.ParentID = cmp.Or(s.ParentID, parent.ID)
		s.RootID = cmp.Or(s.RootID, parent.RootID, parent.ID)
		if a.cfg.InheritPriority {
			s = s.Complete(nil, task.CallOptions{Priority: parent.Priority})
		}
	}
	return s, nil
}

// prepare makes the message of a call that is complete, and makes ready for its outcome.
func (a *App) prepare(ctx context.Context, conn *connection, s task.Signature) (*call, error) {
	if s.Task == "" {
		return nil, &unsendable{errors.New("taskq: send: the task has no name")}
	}
	c := &call{Outgoing: wire.Outgoing{Signature: s, Now: time.Now(), Origin: a.origin}}
	if err := s.Validate(); err != nil {
		return nil, c.failed(&unsendable{err})
	}
	if err := a.formats.dress(&c.Outgoing); err != nil {
		return nil, c.failed(&unsendable{err})
	}
	if prober, ok := conn.broker.(broker.Prober); ok && s.FailFast {
		if err := prober.Probe(); err != nil {
			return nil, c.failed(err)
		}
	}
	var err error
	if conn.results != nil && !s.IgnoreResult {
		if c.results, c.ReplyTo, err = expect(ctx, conn.results, s); err != nil {
			return nil, c.failed(err)
		}
	}
	c.ReplyTo = cmp.Or(c.ReplyTo, a.oid)
	if c.msg, err = wire.Encode(c.Outgoing); err != nil {
		return nil, c.failed(&unsendable{err})
	}
	return c, nil
}

// expect makes ready for the outcome of a call and returns who will know it, and the queue to answer to. Where answers are messages
// and the call has them sent to somebody else's queue, nobody here will.
func expect(ctx context.Context, store result.Backend, s task.Signature) (task.Results, string, error) {
	replier, ok := store.(result.Replier)
	switch {
	case !ok:
		return store, s.ReplyTo, nil
	case s.ReplyTo != "":
		return nil, s.ReplyTo, nil
	}
	queue, err := replier.Expect(ctx, s.ID)
	return store, queue, err
}

// publish declares the queue once, as Celery does, and sends. A queue that was deleted since is declared again, as far as the
// configuration lets it be declared at all. A broadcast needs somebody who listens.
func (a *App) publish(ctx context.Context, b broker.Broker, out wire.Outgoing, msg broker.Message) error {
	if a.keeps(out) {
		return a.keep(ctx, out, msg)
	}
	send := func() error { return deliver(ctx, b, address(out), msg, out.ETA.Sub(out.Now)) }
	if out.Queue == "" { // an exchange must exist
		return send()
	}
	for {
		fresh, err := a.declare(ctx, b, out.Queue)
		if err != nil {
			return err
		}
		err = send()
		switch unroutable := errors.Is(err, broker.ErrUnroutable); {
		case unroutable && a.queues.isBroadcast(out.Queue):
			return fmt.Errorf("broadcast %s: no worker listens to it: %w", out.Queue, err)
		case !unroutable || fresh:
			return err
		}
		a.mu.Lock()
		delete(a.declared, out.Queue)
		a.mu.Unlock()
	}
}

func address(out wire.Outgoing) broker.Address {
	to := out.Address()
	to.FailFast = out.FailFast
	return to
}

// deliver sends now, or parks the message in the broker until its time.
func deliver(ctx context.Context, b broker.Broker, to broker.Address, msg broker.Message, delay time.Duration) error {
	if delay <= 0 {
		return b.Publish(ctx, to, msg)
	}
	delayer, ok := b.(broker.Delayer)
	if !ok {
		return fmt.Errorf("delay a message: this broker cannot: %w", broker.ErrInvalid)
	}
	return delayer.PublishDelayed(ctx, to, msg, delay)
}

// declare makes sure that the queue exists and reports whether it had to ask. A queue with other properties than ours will do for
// sending: it exists, and a message that it does not take is an error.
func (a *App) declare(ctx context.Context, b broker.Broker, queue string) (fresh bool, err error) {
	a.mu.Lock()
	known := a.declared[queue]
	a.mu.Unlock()
	if known {
		return false, nil
	}
	if topology := a.topology(queue); !topology.IsEmpty() {
		err = b.Declare(ctx, topology)
	}
	if _, clash := errors.AsType[*broker.DeclareError](err); err != nil && !clash {
		return true, err
	}
	a.mu.Lock()
	a.declared[queue] = true
	a.mu.Unlock()
	return true, nil
}
