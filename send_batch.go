package taskq

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// SendBatch sends many calls at the cost of little more than one: it does not wait for the broker's answer between them. It returns
// a result for each call, in the order of the batch, nil for those that could not be made; when some were not sent, the error is a
// *task.BatchError that says which and why. Calls with a countdown or an ETA are sent side by side, in no order. Those with
// task.PublishRetry that could not be sent are tried again together. Workflows may be among them; each is sent as Send does it, and has
// its result also when not all of its calls were sent.
func (a *App) SendBatch(ctx context.Context, batch []task.Signature) ([]*task.Result[any], error) {
	s := newSending(a, len(batch))
	s.take(ctx, batch)
	if away := s.run(ctx); away != nil {
		return nil, away
	}
	return s.outcome()
}

// sending is a batch on its way out. What is kept of each call has the call's index in the batch, of which a workflow may have several.
type sending struct {
	app       *App
	batch     []task.Signature // complete
	results   []*task.Result[any]
	errs      []error // why a call was not sent
	holds     []*hold
	owners    []*shipment // the workflow that a call belongs to; nil: it stands alone
	workflows []*shipment
	bounded   context.Context // how long to wait for the broker, of a batch that goes into the outbox; nil: as long as it takes

	broker   broker.Broker
	calls    []*call
	indices  []int // of calls, in the batch
	postings []broker.Posting
	delayed  errgroup.Group // calls of which each is confirmed by itself
}

// delayAtOnce is how many delayed calls of a batch are on their way at once: each waits some milliseconds for the broker.
const delayAtOnce = 128

// newSending returns a batch with room for n calls.
func newSending(a *App, n int) *sending {
	return &sending{
		app: a, batch: make([]task.Signature, 0, n), results: make([]*task.Result[any], 0, n), errs: make([]error, 0, n),
		holds: make([]*hold, 0, n), owners: make([]*shipment, 0, n),
	}
}

// take takes calls and workflows into the batch.
func (s *sending) take(ctx context.Context, batch []task.Signature) {
	for _, signature := range batch {
		if signature.Type != "" {
			s.plan(ctx, signature)
		} else {
			s.enter(ctx, signature, nil)
		}
	}
}

// enter takes a call into the batch, of a workflow or, when that is nil, of itself.
func (s *sending) enter(ctx context.Context, one task.Signature, owner *shipment) {
	one, err := s.app.complete(ctx, one, time.Now())
	var held *hold
	if err == nil && s.bounded == nil {
		held, err = s.app.hold(ctx, one, nil)
	}
	s.batch, s.errs, s.holds = append(s.batch, one), append(s.errs, err), append(s.holds, held)
	s.results, s.owners = append(s.results, nil), append(s.owners, owner)
}

// run sends what can be sent. It returns an error when not even the connection could be made.
func (s *sending) run(ctx context.Context) error {
	for _, w := range s.workflows {
		w.withhold(s.errs)
	}
	left := make([]int, 0, len(s.batch))
	for i, err := range s.errs {
		if err == nil {
			left = append(left, i)
		}
	}
	away := s.sendPatiently(ctx, left)
	for i := range s.batch {
		s.holds[i].sent(ctx, s.errs[i])
	}
	s.noteChildren(ctx)
	for _, w := range s.workflows {
		w.judge(s.errs)
		w.giveUp(ctx, s)
		w.end(ctx, s)
	}
	return away
}

// noteChildren notes the calls that were sent, those of workflows aside.
func (s *sending) noteChildren(ctx context.Context) {
	for i, one := range s.batch {
		if s.errs[i] == nil && s.owners[i] == nil {
			noteChild(ctx, one)
		}
	}
}

// outcome returns what came of each signature of the batch.
func (s *sending) outcome() ([]*task.Result[any], error) {
	var results []*task.Result[any]
	var errs []error
	for i, next := 0, s.workflows; i < len(s.batch) || len(next) > 0; {
		if len(next) > 0 && next[0].from == i {
			results, errs = append(results, next[0].result), append(errs, next[0].err)
			i, next = next[0].to, next[1:]
			continue
		}
		results, errs = append(results, s.results[i]), append(errs, s.errs[i])
		i++
	}
	if err := (&task.BatchError{Errors: errs}); len(err.Unwrap()) > 0 {
		return results, err
	}
	return results, nil
}

// sendPatiently tries those calls as often as they say. It returns an error when not even the connection could be made.
func (s *sending) sendPatiently(ctx context.Context, left []int) error {
	for tries := 0; len(left) > 0; tries++ {
		away := s.send(ctx, left, tries)
		var wait time.Duration
		if left, wait = s.again(tries); len(left) == 0 || pause(ctx, wait) != nil {
			return away
		}
	}
	return nil
}

// send tries those calls of the batch, after so many tries before. It returns an error when not even the connection could be made.
func (s *sending) send(ctx context.Context, left []int, tries int) error {
	s.calls, s.indices, s.postings = nil, nil, nil
	s.delayed.SetLimit(delayAtOnce)
	conn, err := s.app.connect(ctx)
	if err != nil {
		err = tried(err, tries)
		for _, i := range left {
			s.errs[i] = err
		}
		return err
	}
	s.broker = conn.broker
	calls := make([]*call, len(left))
	for n, i := range left {
		if calls[n], s.errs[i] = s.app.prepare(ctx, conn, s.batch[i]); s.errs[i] == nil {
			s.results[i] = s.app.result(calls[n])
		}
	}
	for _, w := range s.workflows {
		w.start(ctx, conn, s.errs)
	}
	for n, i := range left {
		if s.errs[i] == nil {
			s.add(ctx, i, calls[n])
		}
		if w := s.owners[i]; w != nil && i < w.from+len(w.unlocks) && s.errs[i] != nil { // nobody would look after the chord
			w.fail(s.errs, s.errs[i])
		}
	}
	s.publish(ctx)
	_ = s.delayed.Wait() // none returns an error
	for _, i := range left {
		s.errs[i] = tried(s.errs[i], tries)
	}
	return nil
}

// again returns which calls are tried once more after so many tries, and the longest of their pauses.
func (s *sending) again(tries int) (left []int, wait time.Duration) {
	for i, err := range s.errs {
		if err != nil && again(s.batch[i], err, tries) {
			left, wait = append(left, i), max(wait, s.batch[i].Publish.Wait(tries))
		}
	}
	return left, wait
}

// add declares the call's queue, when it is new, and takes the call into what is published together, if it can be. A delayed one goes
// beside the others, unless the rest of its workflow depends on its success.
func (s *sending) add(ctx context.Context, i int, c *call) {
	if c.ETA.After(c.Now) && s.owners[i] == nil {
		s.delayed.Go(func() error { s.sendAlone(ctx, i, c); return nil })
		return
	}
	if _, batches := s.broker.(broker.BatchPublisher); !batches || c.ETA.After(c.Now) {
		s.sendAlone(ctx, i, c)
		return
	}
	if c.Queue != "" {
		if _, err := s.app.declare(ctx, s.broker, c.Queue); err != nil {
			s.errs[i] = c.failed(err)
			return
		}
	}
	s.calls, s.indices = append(s.calls, c), append(s.indices, i)
	s.postings = append(s.postings, broker.Posting{To: address(c.Outgoing), Message: c.msg})
}

func (s *sending) publish(ctx context.Context) {
	if len(s.postings) == 0 {
		return
	}
	for n, err := range s.broker.(broker.BatchPublisher).PublishBatch(ctx, s.postings) {
		switch {
		case errors.Is(err, broker.ErrUnroutable): // the queue was deleted since it was declared
			s.sendAlone(ctx, s.indices[n], s.calls[n])
		case err != nil:
			s.errs[s.indices[n]] = s.calls[n].failed(err)
		}
	}
}

func (s *sending) sendAlone(ctx context.Context, i int, c *call) {
	if err := s.app.publish(ctx, s.broker, c.Outgoing, c.msg); err != nil {
		s.errs[i] = c.failed(err)
	}
}
