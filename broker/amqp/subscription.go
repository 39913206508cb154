package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// subscription keeps one queue consumed: it opens a stream, passes its deliveries on, and opens the next one when it ends.
type subscription struct {
	c     *consumer
	queue string
	tags  int // consumers started so far

	first     chan error    // gets the outcome of the first stream; buffered
	retune    chan struct{} // wakes for another prefetch; buffered
	givenBack chan struct{} // closed by run when nothing more will be handed out
}

// errCancelled ends a stream whose consumer was cancelled.
var errCancelled = errors.New("the consumer was cancelled")

func newSubscription(c *consumer, queue string) *subscription {
	return &subscription{
		c: c, queue: queue,
		first: make(chan error, 1), retune: make(chan struct{}, 1), givenBack: make(chan struct{}),
	}
}

func (sub *subscription) retuneSoon() {
	select {
	case sub.retune <- struct{}{}:
	default: // it will see the newest prefetch
	}
}

// run consumes until ctx ends, which is when the consumer is cancelled. What is out can be settled until the consumer is closed.
func (sub *subscription) run(ctx context.Context) {
	st := sub.consume(ctx)
	if st == nil {
		close(sub.givenBack)
		return
	}
	err := st.cancel(st.tag, st.deliveries)
	close(sub.givenBack)
	if err == nil {
		select {
		case <-sub.c.closed:
		case <-st.closes: //nolint:errcheck // that it closed is enough
		case <-st.s.done:
		}
	}
	st.end()
}

// consume opens one stream after the other and passes on what they deliver. When ctx ends it returns the stream that is open.
func (sub *subscription) consume(ctx context.Context) *stream {
	failures := 0
	for begun := false; ctx.Err() == nil; {
		st, err := sub.open(ctx, begun)
		if !begun && !errors.Is(err, errLost) {
			sub.first <- err
			if err != nil {
				return nil
			}
			begun = true
		}
		since := time.Now()
		if err == nil {
			err = sub.pump(ctx, st)
			if errors.Is(err, errCancelled) {
				return st
			}
			st.end()
		}
		if errors.Is(err, errLost) {
			continue // the link waits between sessions
		}
		if time.Since(since) >= settledAfter {
			failures = 0
		}
		pause := sub.c.b.backoff(failures)
		failures++
		if ctx.Err() == nil {
			sub.c.b.cfg.Logger.Error("Consumer of queue lost", "queue", sub.queue, "error", err, "retry_in", pause)
		}
		wait(ctx, pause)
	}
	return nil
}

// open waits for a session and consumes on it. When the queue was consumed before, it is declared again first, as far as it was
// declared here.
func (sub *subscription) open(ctx context.Context, again bool) (*stream, error) {
	b := sub.c.b
	s, err := b.consuming.session(ctx)
	if err != nil {
		return nil, err
	}
	if again {
		if err := sub.declareAgain(ctx, s); err != nil {
			return nil, err
		}
	}
	st, err := openStream(s, sub.c.gate, sub.c.cfg, sub.queue, sub.nextTag())
	if err != nil && !errors.Is(err, errLost) {
		err = missingOrRefused(err)
	}
	return st, err
}

func (sub *subscription) declareAgain(ctx context.Context, s *session) error {
	err := sub.c.b.declareAgain(ctx, s, sub.c.b.topology.around(sub.queue))
	var clash *broker.DeclareError
	if errors.As(err, &clash) && !sub.c.b.topology.queue(sub.queue).Exclusive {
		sub.c.b.cfg.Logger.Error("Queue was declared differently by somebody else", "queue", sub.queue, "error", err)
		return nil // it exists, so it can be consumed
	}
	return err
}

func (sub *subscription) nextTag() string {
	sub.tags++
	return sub.c.b.cfg.ConnectionName[:min(len(sub.c.b.cfg.ConnectionName), 100)] + "-" + strconv.Itoa(sub.tags)
}

// pump passes deliveries on until the stream ends, or until ctx does: then it has given back the one it held.
func (sub *subscription) pump(ctx context.Context, st *stream) error {
	count := -1
	if sub.c.b.topology.queue(sub.queue).Type == broker.Quorum {
		count = 0
	}
	var held received
	for {
		in, out := st.deliveries, sub.c.next
		if held.st == nil {
			out = nil
		} else {
			in = nil
		}
		select {
		case d, ok := <-in:
			if !ok {
				return st.whyEnded()
			}
			held = received{st: st, queue: sub.queue, count: count, Delivery: d}
		case out <- held:
			held = received{}
		case <-sub.retune:
			if err := sub.applyPrefetch(st); err != nil {
				return err
			}
		case tag := <-st.cancels:
			if tag == st.tag {
				return errConsumerEnded
			}
		case reply := <-st.closes:
			return st.s.explain(replyOrLost(reply))
		case <-st.s.done:
			return fmt.Errorf("%w: %w", errLost, st.s.cause)
		case <-ctx.Done():
			if held.st != nil {
				if err := st.giveBack(held.DeliveryTag); err != nil {
					return err
				}
			}
			return errCancelled
		}
	}
}

// applyPrefetch replaces the broker's consumer by one with the new prefetch. The new one starts first, because a queue may go with
// its last consumer; an exclusive one cannot, and is left alone on such a queue: there only the gate changes.
func (sub *subscription) applyPrefetch(st *stream) error {
	cfg := sub.c.cfg
	if st.prefetch == sub.c.gate.size() || cfg.Exclusive && sub.c.b.topology.queue(sub.queue).AutoDelete {
		return nil
	}
	tag, deliveries := st.tag, st.deliveries
	if cfg.Exclusive {
		if err := st.cancel(tag, deliveries); err != nil {
			return err
		}
	}
	stop := st.s.guard()
	err := st.consume(cfg, sub.queue, sub.nextTag())
	stop()
	if err != nil {
		return st.s.explain(err)
	}
	if cfg.Exclusive {
		return nil
	}
	return st.cancel(tag, deliveries)
}
