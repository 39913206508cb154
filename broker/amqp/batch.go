package amqp

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
)

// PublishBatch implements broker.BatchPublisher. The messages are written one after the other without waiting for the confirms in
// between, as far as Config.ConfirmWindow goes. Messages of one exchange keep their order unless a connection is lost on the way.
func (b *Broker) PublishBatch(ctx context.Context, batch []broker.Posting) []error {
	errs := make([]error, len(batch))
	if err := b.enter(); err != nil {
		for i := range errs {
			errs[i] = fmt.Errorf("amqp: publish to %s: %w", target(batch[i].To), err)
		}
		return errs
	}
	defer b.publishes.Done()
	failed := false
	w := wave{b: b, report: func(i int, err error) {
		if err != nil {
			errs[i], failed = err, true
		}
	}}
	for i, posting := range batch {
		p, err := encode(posting.To, posting.Message, b.cfg.MaxBody)
		if err != nil {
			w.report(i, err)
			continue
		}
		w.add(ctx, i, p)
	}
	w.finish(ctx)
	if !failed {
		return nil
	}
	return errs
}

// wave is the messages of a batch that wait for their confirms.
type wave struct {
	b      *Broker
	report func(i int, err error)
	flying []flying // the oldest one first
}

type flying struct {
	flight
	i     int // in the batch
	token *token
}

// add publishes one more message.
func (w *wave) add(ctx context.Context, i int, p *publishing) {
	if err := w.takePlace(ctx); err != nil {
		w.report(i, fmt.Errorf("amqp: publish to %s: %w", target(p.to), err))
		return
	}
	w.flying = append(w.flying, flying{w.b.submit(ctx, p), i, &token{window: w.b.window}})
}

// takePlace takes a place in the window. When none is free, the oldest messages of the batch make room.
func (w *wave) takePlace(ctx context.Context) error {
	for len(w.flying) > 0 {
		select {
		case w.b.window <- struct{}{}:
			return nil
		default:
			w.settleFirst(ctx)
		}
	}
	return w.b.takePlace(ctx)
}

func (w *wave) settleFirst(ctx context.Context) {
	first := w.flying[0]
	w.flying = w.flying[1:]
	err := w.b.settle(ctx, first.flight, first.token)
	first.token.giveBack()
	if err = w.b.insist(ctx, first.publishing, err); err != nil {
		w.report(first.i, fmt.Errorf("amqp: publish to %s: %w", target(first.to), err))
	}
}

func (w *wave) finish(ctx context.Context) {
	for len(w.flying) > 0 {
		w.settleFirst(ctx)
	}
}
