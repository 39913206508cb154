package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// errAway says that a queue exists and cannot be reached now: the node of the cluster that has it is down.
var errAway = errors.New("the queue cannot be reached now")

// isAway reports whether a reply says that. Its code is that of a queue which does not exist; only the words tell them apart.
func isAway(err error) bool {
	if !isReply(err, codeNotFound) {
		return false
	}
	text := replyText(err)
	for _, words := range []string{
		"is down or inaccessible",           // home node '…' of durable queue '…' in vhost '…' …
		"due to timeout",                    // failed to perform operation on queue '…' …
		"may be stopping or being demoted",  // failed to perform operation on queue '…': its master replica …
		"process is stopped by supervisor",  // queue '…' …
		"has crashed and failed to restart", // queue '…' …
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// awaitQueue waits before a request about a queue that was away is made again; failures counts the requests so far. It returns an
// error when ctx or the broker's life ended first.
func (b *Broker) awaitQueue(ctx context.Context, err error, failures int) error {
	pause := b.backoff(failures)
	b.cfg.Logger.Warn("Queue is out of reach", "error", err, "retry_in", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b.life.Done():
		return fmt.Errorf("amqp: %w", broker.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", err, ctx.Err())
	}
}

// insist publishes p again while its queue is away: the broker says of that, as of any other, only that no queue took the message.
// err is what became of p so far.
func (b *Broker) insist(ctx context.Context, p *publishing, err error) error {
	for failures := 0; errors.Is(err, broker.ErrUnroutable) && p.to.Exchange == "" && p.to.RoutingKey != ""; failures++ {
		switch look := b.look(ctx, p.to.RoutingKey); {
		case errors.Is(look, errAway) && p.to.FailFast:
			return look
		case errors.Is(look, errAway):
			if err := b.awaitQueue(ctx, look, failures); err != nil {
				return err
			}
		case look == nil && failures == 0: // it has come back meanwhile
		default:
			return err
		}
		err = b.publish(ctx, p)
	}
	return err
}

// look asks for a queue once.
func (b *Broker) look(ctx context.Context, queue string) error {
	s, err := b.requests().session(ctx)
	if err != nil {
		return err
	}
	return s.withChannel(ctx, func(ch *amqp091.Channel) error {
		if _, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil); err != nil { // properties do not count when passive
			return missingOrRefused(err)
		}
		return nil
	})
}
