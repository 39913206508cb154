package taskq

import (
	"context"
	"errors"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// SendBatch sends many calls at the cost of little more than one: it does not wait for the broker's answer between them. It returns
// a result for each call, in the order of the batch, nil for those that could not be made; when some were not sent, the error is a
// *task.BatchError that says which and why. Calls with a countdown or an ETA are sent one by one.
func (a *App) SendBatch(ctx context.Context, batch []task.Signature) ([]*task.Result[any], error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := sending{app: a, broker: conn.broker, errs: make([]error, len(batch))}
	results := make([]*task.Result[any], len(batch))
	for i, signature := range batch {
		c, err := a.prepare(ctx, conn, signature)
		if err != nil {
			s.errs[i] = err
			continue
		}
		results[i] = c.result()
		s.add(ctx, i, c)
	}
	s.publish(ctx)
	if len((&task.BatchError{Errors: s.errs}).Unwrap()) > 0 {
		return results, &task.BatchError{Errors: s.errs}
	}
	return results, nil
}

// sending is a batch on its way out.
type sending struct {
	app    *App
	broker broker.Broker
	errs   []error // of each call of the batch

	calls    []*call
	indices  []int // of calls, in the batch
	postings []broker.Posting
}

// add declares the call's queue, when it is new, and takes the call into what is published together, if it can be.
func (s *sending) add(ctx context.Context, i int, c *call) {
	if _, batches := s.broker.(broker.BatchPublisher); !batches || c.ETA.After(c.Now) {
		s.sendAlone(ctx, i, c)
		return
	}
	if _, err := s.app.declare(ctx, s.broker, c.Queue); err != nil {
		s.errs[i] = c.failed(err)
		return
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
