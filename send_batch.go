package taskq

import (
	"context"
	"errors"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// SendBatch sends many calls at the cost of little more than one: it does not wait for the broker's answer between them. It returns
// a result for each call, in the order of the batch, nil for those that could not be made; when some were not sent, the error is a
// *task.BatchError that says which and why. Calls with a countdown or an ETA are sent one by one. Those with task.PublishRetry that
// could not be sent are tried again together.
func (a *App) SendBatch(ctx context.Context, batch []task.Signature) ([]*task.Result[any], error) {
	s := sending{
		app: a, batch: make([]task.Signature, len(batch)), results: make([]*task.Result[any], len(batch)), errs: make([]error, len(batch)),
		holds: make([]*hold, len(batch)),
	}
	var left []int
	for i, signature := range batch {
		if s.batch[i], s.errs[i] = a.complete(ctx, signature, time.Now()); s.errs[i] == nil {
			s.holds[i], s.errs[i] = a.hold(ctx, s.batch[i], nil)
		}
		if s.errs[i] == nil {
			left = append(left, i)
		}
	}
	away := s.sendPatiently(ctx, left)
	for i, one := range s.batch {
		s.holds[i].sent(ctx, s.errs[i])
		if s.errs[i] == nil {
			noteChild(ctx, one)
		}
	}
	if away != nil {
		return nil, away
	}
	if err := (&task.BatchError{Errors: s.errs}); len(err.Unwrap()) > 0 {
		return s.results, err
	}
	return s.results, nil
}

// sending is a batch on its way out.
type sending struct {
	app     *App
	batch   []task.Signature // complete
	results []*task.Result[any]
	errs    []error // of each call of the batch
	holds   []*hold

	broker   broker.Broker
	calls    []*call
	indices  []int // of calls, in the batch
	postings []broker.Posting
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
	conn, err := s.app.connect(ctx)
	if err != nil {
		err = tried(err, tries)
		for _, i := range left {
			s.errs[i] = err
		}
		return err
	}
	s.broker = conn.broker
	for _, i := range left {
		var c *call
		if c, s.errs[i] = s.app.prepare(ctx, conn, s.batch[i]); c != nil {
			s.results[i] = s.app.result(c)
			s.add(ctx, i, c)
		}
	}
	s.publish(ctx)
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

// add declares the call's queue, when it is new, and takes the call into what is published together, if it can be.
func (s *sending) add(ctx context.Context, i int, c *call) {
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
