package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-399731e2/taskq/broker"
)

func concurrencyClaims() []claim {
	return []claim{
		{"EachMessageIsAckedOnceUnderLoad", load},
	}
}

const (
	publishers = 8
	perOne     = 200
)

func load(f *fixture) {
	queue := f.queue(broker.Queue{})
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	tally := &tally{acked: map[string]int{}, done: cancel}
	var wg sync.WaitGroup
	for range 2 {
		c := f.consume(f.open(), 20, queue)
		for range 4 {
			wg.Go(func() { f.work(ctx, c, tally) })
		}
	}
	for p := range publishers {
		b := f.full
		wg.Go(func() { f.send(f.Context(), b, queue, p) }) // not ctx: the last confirm may come after the last ack
	}
	wg.Wait()
	if len(tally.acked) != publishers*perOne {
		f.Errorf("%d messages were acked, want %d", len(tally.acked), publishers*perOne)
	}
	for body, times := range tally.acked {
		if times != 1 {
			f.Errorf("%q was acked %d times", body, times)
		}
	}
}

// tally counts the acks by body.
type tally struct {
	mu    sync.Mutex
	acked map[string]int
	done  func() // called when all were acked
}

func (t *tally) add(body string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acked[body]++
	if len(t.acked) == publishers*perOne {
		t.done()
	}
}

func (f *fixture) send(ctx context.Context, b broker.Broker, queue string, publisher int) {
	for n := range perOne {
		body := fmt.Appendf(nil, "%d/%d", publisher, n)
		if err := b.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{Body: body}); err != nil {
			f.Errorf("publish %s: %v", body, err)
			return
		}
	}
}

func (f *fixture) work(ctx context.Context, c broker.Consumer, tally *tally) {
	for {
		d, err := c.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			f.Errorf("next: %v", err)
			return
		}
		if err := d.Settle(context.WithoutCancel(ctx), broker.Ack); err != nil {
			f.Errorf("ack %q: %v", d.Body, err)
			return
		}
		tally.add(string(d.Body))
	}
}
