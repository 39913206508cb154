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
// one, until ctx ends: it may arrive twice then. While the broker is away or blocks publishers (an alarm) it waits until ctx ends; a
// context without a deadline waits for as long as it takes. With to.FailFast it does not wait, and an unknown outcome is returned
// instead of published again. The errors are those of the interface; ErrRefused when the broker refused the message (a full queue
// that rejects), ErrAccess without permission, ErrInvalid for what the wire cannot carry, and one that wraps ErrUnavailable and the
// context's error when time ran out.
func (b *Broker) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	p, err := encode(to, msg, b.cfg.MaxBody)
	if err != nil {
		return err
	}
	if err := b.enter(); err != nil {
		return fmt.Errorf("amqp: publish to %s: %w", target(to), err)
	}
	defer b.publishes.Done()
	if err := b.insist(ctx, p, b.publish(ctx, p)); err != nil {
		return fmt.Errorf("amqp: publish to %s: %w", target(to), err)
	}
	return nil
}

// Probe implements broker.Prober.
func (b *Broker) Probe() error {
	if b.isClosing() {
		return fmt.Errorf("amqp: %w", broker.ErrClosed)
	}
	if err := b.publishing.probe(); err != nil {
		return fmt.Errorf("amqp: %w", err)
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
	if err := b.takePlace(ctx); err != nil {
		return err
	}
	token := &token{window: b.window}
	defer token.giveBack()
	return b.settle(ctx, b.submit(ctx, p)[0], token)
}

// takePlace waits for a place in the confirm window.
func (b *Broker) takePlace(ctx context.Context) error {
	select {
	case b.window <- struct{}{}:
		return nil
	case <-b.life.Done():
		return broker.ErrClosed
	case <-ctx.Done():
		return unsent(ctx, nil)
	}
}

// flight is a message on its way to its confirm.
type flight struct {
	*publishing
	lane *lane
	job  *job
	err  error // why it was not written; nil when it was, or soon is
}

// submit hands messages to the channel of the live session: all of them to a named exchange or none, all with FailFast or none. Its
// failures are in the flights.
func (b *Broker) submit(ctx context.Context, messages ...*publishing) []flight {
	first := messages[0].to
	var lane *lane
	var jobs []*job
	s, err := b.publishing.await(ctx, first.FailFast)
	if err == nil {
		err = b.waitForAlarm(ctx, s, first.FailFast)
	}
	if err == nil {
		lane = b.lanes.of(b, s, first.Exchange)
		jobs, err = lane.submit(ctx, messages)
	}
	flights := make([]flight, len(messages))
	for i, p := range messages {
		flights[i] = flight{publishing: p, lane: lane, err: err}
		if err == nil {
			flights[i].job = jobs[i]
		}
	}
	return flights
}

// settle waits for the outcome of a flight, and publishes the message again while that is unknown.
func (b *Broker) settle(ctx context.Context, f flight, token *token) error {
	written := false
	for closed := 0; ; {
		err := f.err
		if err == nil {
			err = f.lane.await(ctx, f.job, token)
			written = written || !errors.Is(err, errLaneEnded) || f.job.begun
		}
		if !errors.Is(err, errLaneEnded) {
			return maybeTaken(err, written)
		}
		cause := f.lane.cause
		lost := f.lane.s.explain(cause)
		if soft := !errors.Is(lost, errLost); soft || isHardReply(lost) {
			if !soft {
				cause = lost
			}
			if verdict := f.blame(cause); verdict != nil {
				return verdict
			}
			if closed++; closed == replyTries {
				return fmt.Errorf("%w: %w", errTooManyFailures, cause)
			}
		}
		if f.to.FailFast && written {
			return maybeTaken(fmt.Errorf("%w: %w", broker.ErrUnavailable, lost), written)
		}
		if written {
			b.counts.repeated.Add(1)
		}
		f = b.submit(ctx, f.publishing)[0]
	}
}

// maybeTaken marks the error of a message that was written, now or before, and not answered.
func maybeTaken(err error, written bool) error {
	if written && errors.Is(err, broker.ErrUnavailable) {
		return fmt.Errorf("%w: %w", broker.ErrUnconfirmed, err)
	}
	return err
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
		if n, _ := fmt.Sscanf(words, "%d is larger than configured max size %d", &size, &limit); n == 2 && len(p.msg.Body) > limit {
			return invalid("body", fmt.Sprintf("it has %d bytes, the broker takes at most %d", size, limit))
		}
	}
	return nil
}

// waitForAlarm waits while the broker blocks publishers.
func (b *Broker) waitForAlarm(ctx context.Context, s *session, failFast bool) error {
	over, _ := s.alarm.active()
	if over == nil {
		return nil
	}
	if failFast {
		return s.alarm.err()
	}
	select {
	case <-over:
		return nil
	case <-s.done:
		return nil
	case <-b.life.Done():
		return broker.ErrClosed
	case <-ctx.Done():
		return unsent(ctx, s)
	}
}

// unsent is the error of a message that was not written before ctx ended; s is the session it waited on, if any.
func unsent(ctx context.Context, s *session) error {
	if s != nil {
		if err := s.alarm.err(); err != nil {
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
	return fmt.Errorf("%w: it could not be written in time: %w", broker.ErrUnavailable, ctx.Err())
}

// unconfirmed is the error of a message that was written and whose confirm is not waited for any longer.
func unconfirmed(s *session, why error) error {
	if err := s.alarm.err(); err != nil {
		return fmt.Errorf("%w: %w", err, why)
	}
	return fmt.Errorf("%w: no confirm in time: %w", broker.ErrUnavailable, why)
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
