package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
)

// replyTries is how many channels or connections a message may see closed by a reply of the broker before that is returned: the
// message itself may be the reason.
const replyTries = 3

// Publish implements broker.Broker. When the connection is lost before the confirm, the message is published again on the next
// one, until ctx ends: it may arrive twice then. While the broker blocks publishers (an alarm) it waits until ctx ends; a context
// without a deadline waits for as long as it takes. The errors are those of the interface; ErrRefused when the broker refused the
// message (a full queue that rejects), ErrAccess without permission, ErrInvalid for what the wire cannot carry, and one that wraps
// ErrUnavailable and the context's error when time ran out.
func (b *Broker) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	p, err := encode(to, msg, b.cfg.MaxBody)
	if err != nil {
		return err
	}
	if err := b.enter(); err != nil {
		return fmt.Errorf("amqp: publish to %s: %w", target(to), err)
	}
	defer b.publishes.Done()
	if err := b.publish(ctx, p); err != nil {
		return fmt.Errorf("amqp: publish to %s: %w", target(to), err)
	}
	return nil
}

// target names an address that was checked.
func target(to broker.Address) string {
	if to.Exchange == "" {
		return fmt.Sprintf("queue %q", to.RoutingKey)
	}
	return fmt.Sprintf("exchange %q with key %q", to.Exchange, to.RoutingKey)
}

// publish tries until the outcome is known or ctx ends.
func (b *Broker) publish(ctx context.Context, p *publishing) error {
	select {
	case b.window <- struct{}{}:
	case <-b.life.Done():
		return broker.ErrClosed
	case <-ctx.Done():
		return outOfTime(ctx, nil)
	}
	token := &token{window: b.window}
	defer token.giveBack()
	for closed := 0; ; {
		s, err := b.publishing.session(ctx)
		if err != nil {
			return err
		}
		if err := b.waitForAlarm(ctx, s); err != nil {
			return err
		}
		lane := b.lanes.of(b, s, p.to.Exchange)
		err = lane.publish(ctx, p, token)
		if !errors.Is(err, errLaneEnded) {
			return err
		}
		cause := lane.cause
		if lost := s.explain(cause); errors.Is(lost, errLost) {
			if !isHardReply(lost) {
				continue // unknown outcome: again on the next session
			}
			cause = lost
		}
		if verdict := p.blame(cause); verdict != nil {
			return verdict
		}
		if closed++; closed == replyTries {
			return fmt.Errorf("%w: %w", errTooManyFailures, cause)
		}
	}
}

// blame returns the error that the message gets when it is the reason why the broker closed the channel; nil when another one is.
func (p *publishing) blame(cause error) error {
	text := replyText(cause)
	ours := p.to.Exchange == "" || strings.Contains(text, "'"+p.to.Exchange+"'")
	switch {
	case isReply(cause, codeNotFound) && ours:
		return fmt.Errorf("%w: %s", broker.ErrUnroutable, text)
	case isReply(cause, codeAccessRefused) && ours:
		return fmt.Errorf("%w: %s", broker.ErrAccess, text)
	case isReply(cause, codePrecondition):
		var size, limit int
		_, words, _ := strings.Cut(text, "message size ")
		if n, _ := fmt.Sscanf(words, "%d is larger than configured max size %d", &size, &limit); n == 2 && len(p.wire.Body) > limit {
			return invalid("body", fmt.Sprintf("it has %d bytes, the broker takes at most %d", size, limit))
		}
	}
	return nil
}

// waitForAlarm waits while the broker blocks publishers.
func (b *Broker) waitForAlarm(ctx context.Context, s *session) error {
	over, _ := s.alarm.active()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-s.done:
		return nil
	case <-b.life.Done():
		return broker.ErrClosed
	case <-ctx.Done():
		return outOfTime(ctx, s)
	}
}

// outOfTime is the error of a publish whose context ended; s is the session it waited on, if any.
func outOfTime(ctx context.Context, s *session) error {
	if s != nil {
		if over, reason := s.alarm.active(); over != nil {
			return fmt.Errorf("%w: it blocks publishers because of an alarm (%s): %w", broker.ErrUnavailable, reason, ctx.Err())
		}
	}
	return fmt.Errorf("%w: no confirm in time, the message may have been taken: %w", broker.ErrUnavailable, ctx.Err())
}

// token is one place in the confirm window.
type token struct {
	window chan struct{}
	lent   bool // somebody else gives it back
}

func (t *token) giveBack() {
	if !t.lent {
		<-t.window
	}
}
