package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// subscription keeps one queue consumed: it opens a stream, passes its deliveries on, and opens the next one when it ends.
type subscription struct {
	c     *consumer
	queue string
	// silences counts the consumers replaced because they were silent, since something came. Each doubles the time until the next:
	// where another consumer is the single active one, silence is the rule.
	silences int

	first     chan error    // gets the outcome of the first stream; buffered
	retune    chan struct{} // wakes for another prefetch; buffered
	givenBack chan struct{} // closed by run when nothing more will be handed out
}

// Why a stream is left.
var (
	errCancelled = errors.New("the consumer was cancelled")
	errApart     = errors.New("a delivery is out for long")  // the stream stays open for what is out, and gets nothing more
	errIdle      = errors.New("nobody takes the deliveries") // so does this one, and what waited was given back
	errSilent    = errors.New("messages wait, and the broker sent none")
)

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
	var apart sync.WaitGroup
	defer apart.Wait()
	st := sub.consume(ctx, &apart)
	if st == nil {
		close(sub.givenBack)
		return
	}
	err := st.cancel(st.line)
	close(sub.givenBack)
	if err == nil {
		sub.seeOut(st, sub.c.closed)
		return
	}
	st.end()
}

// seeOut keeps a stream that gets nothing more until its deliveries can no longer be settled on it, or until enough is closed.
func (sub *subscription) seeOut(st *stream, enough <-chan struct{}) {
	select {
	case <-enough:
	case <-sub.c.closed:
	case reply := <-st.closes:
		if err := st.s.explain(replyOrLost(reply)); !errors.Is(err, errLost) && sub.c.life.Err() == nil {
			sub.c.b.cfg.Logger.Error("Deliveries were taken back by the broker", "queue", sub.queue, "error", err)
		}
	case <-st.s.done:
	}
	st.end()
}

// consume opens one stream after the other and passes on what they deliver. When ctx ends it returns the stream that is open. Streams
// that are left to deliveries which are out for long are seen out by apart.
func (sub *subscription) consume(ctx context.Context, apart *sync.WaitGroup) *stream {
	failures := 0
	var left error // why the last stream was left
	for begun := false; ctx.Err() == nil; {
		st, err := sub.open(ctx, left)
		if !begun && !errors.Is(err, errLost) && !errors.Is(err, errAway) {
			sub.first <- err
			if err != nil {
				return nil
			}
			begun = true
		}
		since := time.Now()
		if err == nil {
			if err = sub.attend(ctx, st); errors.Is(err, errCancelled) {
				return st
			}
			sub.leave(st, err, apart)
		}
		if time.Since(since) >= settledAfter {
			failures = 0
		}
		left = err
		failures = sub.pause(ctx, err, failures)
	}
	return nil
}

// leave ends a stream, unless it stays open for what is out.
func (sub *subscription) leave(st *stream, why error, apart *sync.WaitGroup) {
	if !errors.Is(why, errApart) && !errors.Is(why, errIdle) {
		st.end()
		return
	}
	sub.c.b.counts.left(why)
	apart.Go(func() { sub.seeOut(st, st.retire()) })
}

// pause waits before the next stream is opened, as long as the reason why there is none and the failures so far demand. It returns
// the number of failures.
func (sub *subscription) pause(ctx context.Context, why error, failures int) int {
	b := sub.c.b
	switch {
	case errors.Is(why, errLost), errors.Is(why, errApart), errors.Is(why, errIdle):
		return failures // between sessions the link waits
	case errors.Is(why, errAway):
		_ = b.awaitQueue(ctx, why, failures) // whoever ends the wait ends this, too
	default:
		span := b.backoff(failures)
		if ctx.Err() == nil {
			b.cfg.Logger.Error("Consumer of queue lost", "queue", sub.queue, "error", why, "retry_in", span)
		}
		wait(ctx, span)
	}
	return failures + 1
}

// open waits for a session and consumes on it. A queue whose stream was lost is declared again first, as far as it was declared here.
func (sub *subscription) open(ctx context.Context, left error) (*stream, error) {
	b := sub.c.b
	s, err := b.consuming.session(ctx)
	if err != nil {
		return nil, err
	}
	replaces := left != nil && !errors.Is(left, errApart)
	if replaces {
		if err := sub.declareAgain(ctx, s); err != nil {
			return nil, err
		}
	}
	innocent := s.innocent
	if replaces {
		innocent = time.Now().Add(settledAfter)
	}
	st, err := openStream(s, sub, innocent)
	if err != nil {
		if !errors.Is(err, errLost) {
			err = missingOrRefused(err)
		}
		return nil, err
	}
	b.counts.streams.Add(1)
	return st, nil
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

// nextTag is a consumer tag that no other consumer of the broker has: all of them may be on one connection.
func (sub *subscription) nextTag() string {
	name := sub.c.b.cfg.ConnectionName
	return name[:min(len(name), 100)] + "-" + strconv.FormatUint(sub.c.b.tags.Add(1), 10)
}

// attend looks after a stream, whose deliveries go into the consumer's inbox, until it ends or ctx does.
func (sub *subscription) attend(ctx context.Context, st *stream) error {
	p := newPassage(sub, st)
	defer p.stop()
	for {
		var err error
		select {
		case <-st.some:
			p.watch.note()
			sub.silences = 0
		case <-st.line.over: // halted, and passed on
			return errApart
		case <-sub.retune:
			if !p.apart {
				err = sub.applyPrefetch(st)
			}
		case tag := <-st.cancels:
			if tag == st.line.tag {
				return errConsumerEnded
			}
		case reply := <-st.closes:
			return st.s.explain(replyOrLost(reply))
		case <-st.s.done:
			return fmt.Errorf("%w: %w", errLost, st.s.cause)
		case <-p.ages.C:
			err = p.checkAges()
		case <-p.watch.timer.C:
			p.watch.look(ctx, st, p.apart)
		case stats := <-p.watch.answers:
			if p.watch.judge(st, stats) {
				sub.c.b.counts.silent.Add(1)
				sub.silences++
				return fmt.Errorf("%w (%d messages, %d consumers)", errSilent, stats.Messages, stats.Consumers)
			}
		case <-ctx.Done():
			return errCancelled
		}
		if err != nil {
			return err
		}
	}
}

// applyPrefetch replaces the broker's consumer by one with the new prefetch. The new one starts first, because a queue may go with
// its last consumer; an exclusive one cannot, and is left alone on such a queue: there only the gate changes.
func (sub *subscription) applyPrefetch(st *stream) error {
	cfg := sub.c.cfg
	if st.prefetch == sub.c.gate.share() || cfg.Exclusive && sub.c.b.topology.queue(sub.queue).AutoDelete {
		return nil
	}
	before := st.line
	if cfg.Exclusive {
		if err := st.cancel(before); err != nil {
			return err
		}
	}
	stop := st.s.guard()
	err := st.consume(cfg, sub.nextTag())
	stop()
	if err != nil {
		return st.s.explain(err)
	}
	if cfg.Exclusive {
		return nil
	}
	return st.cancel(before)
}
