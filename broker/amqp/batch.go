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

// waveSize is how many messages of a batch are submitted together.
const waveSize = 64

// wave is the messages of a batch that are on their way.
type wave struct {
	b      *Broker
	report func(i int, err error)
	next   []*publishing // they have places in the window, the last ones of flying, and are submitted together
	flying []flying      // the oldest one first
}

type flying struct {
	flight
	i     int // in the batch
	token *token
}

// add publishes one more message, or gathers it.
func (w *wave) add(ctx context.Context, i int, p *publishing) {
	if n := len(w.next); n == waveSize || n > 0 && !w.next[0].goesWith(p) {
		w.submit(ctx)
	}
	if err := w.takePlace(ctx); err != nil {
		w.report(i, fmt.Errorf("amqp: publish to %s: %w", target(p.to), err))
		return
	}
	w.next = append(w.next, p)
	w.flying = append(w.flying, flying{flight{publishing: p}, i, &token{window: w.b.window}})
}

// goesWith reports whether messages can be submitted together.
func (p *publishing) goesWith(other *publishing) bool {
	return (p.to.Exchange == "") == (other.to.Exchange == "") && p.to.FailFast == other.to.FailFast
}

// submit submits what was gathered.
func (w *wave) submit(ctx context.Context) {
	if len(w.next) == 0 {
		return
	}
	last := w.flying[len(w.flying)-len(w.next):]
	for n, f := range w.b.submit(ctx, w.next...) {
		last[n].flight = f
	}
	w.next = w.next[:0]
}

// takePlace takes a place in the window. When none is free, the oldest messages of the batch make room. Nothing waits here that was not
// submitted: another batch may wait for its places.
func (w *wave) takePlace(ctx context.Context) error {
	for len(w.flying) > 0 {
		select {
		case w.b.window <- struct{}{}:
			return nil
		default:
			w.submit(ctx)
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
	w.submit(ctx)
	for len(w.flying) > 0 {
		w.settleFirst(ctx)
	}
}
