package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// Request is a command for workers.
type Request struct {
	Method string
	// Arguments by keyword; encoded as JSON.
	Arguments map[string]any
	// Destination are the node names of the workers it is for; none means all, or those that Pattern matches.
	Destination []string
	// Pattern of node names, and what kind it is: glob or pcre.
	Pattern, Matcher string
	// Timeout is how long Call waits for answers; 0 means 1 s, as in Celery.
	Timeout time.Duration
	// Quiet ends the wait when there was an answer and then none for so long; 0 means that Timeout alone does.
	Quiet time.Duration
}

func (r Request) timeout() time.Duration {
	if r.Timeout <= 0 {
		return time.Second
	}
	return r.Timeout
}

// Reply is one worker's answer.
type Reply struct {
	Node  string
	Value codec.Raw // in JSON
}

// Text is the text of an answer {"ok": …}; the text of {"error": …} is returned as a *ReplyError. ok is false for an answer that is
// neither.
func (r Reply) Text() (text string, ok bool, err error) {
	var told struct {
		OK    *string `json:"ok"`
		Error *string `json:"error"`
	}
	isObject := len(r.Value) > 0 && r.Value[0] == '{'
	switch {
	case !isObject || (codec.JSON{}).Unmarshal(r.Value, &told) != nil:
	case told.Error != nil:
		return "", true, &ReplyError{Node: r.Node, Text: *told.Error}
	case told.OK != nil:
		return *told.OK, true, nil
	}
	return "", false, nil //nolint:nilerr // some other value is what other commands answer
}

// ReplyError is what a worker that could not obey says.
type ReplyError struct{ Node, Text string }

func (e *ReplyError) Error() string { return e.Node + ": " + e.Text }

// Client sends commands to workers and collects their answers. It is safe for concurrent use and holds nothing between calls.
type Client struct {
	Broker broker.Broker
	Clock  *Clock
	Accept codec.Set // of answers; JSON always is
	Limits codec.Limits
	// Declare says whether the exchange of the commands may be declared. The queue that answers come to is the client's own, and is
	// declared in every mode.
	Declare broker.DeclareMode
	Logger  *slog.Logger
}

// Cast sends a command and waits for no answer. It returns once the broker has it; where no worker listens, nobody hears it, which is
// no error.
func (c *Client) Cast(ctx context.Context, r Request) error {
	err := c.send(ctx, r, "", "")
	if errors.Is(err, broker.ErrUnroutable) {
		return nil
	}
	return err
}

// Call sends a command and returns the answers that have come, sorted by node, when as many have as there are destinations, or when the
// time is over. It returns at once where no worker listens. The error is that of asking, not of the workers: see Reply.Text.
func (c *Client) Call(ctx context.Context, r Request) ([]Reply, error) {
	key, ticket := uuid.NewString(), uuid.NewString()
	mailbox := wire.ReplyMailbox(key)
	if err := c.Broker.Declare(ctx, mailbox); err != nil {
		return nil, fmt.Errorf("control: %s: queue for the answers: %w", r.Method, err)
	}
	consumer, err := c.Broker.Consume(ctx, broker.ConsumeConfig{Queues: []string{mailbox.Queues[0].Name}, Prefetch: prefetch, AutoAck: true})
	if err != nil {
		return nil, fmt.Errorf("control: %s: queue for the answers: %w", r.Method, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
		defer cancel()
		_ = consumer.Close(closing) // the broker deletes the queue in any case
	}()
	if err := c.send(ctx, r, ticket, key); errors.Is(err, broker.ErrUnroutable) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return c.collect(ctx, consumer, r, ticket)
}

// Probe returns an error that wraps broker.ErrUnroutable when no worker listens. The command that it sends is for the node that asks, so
// that nobody else minds it.
func (c *Client) Probe(ctx context.Context, node string) error {
	return c.send(ctx, Request{Method: "ping", Destination: []string{node}}, "", "")
}

const (
	closeWait = 5 * time.Second
	prefetch  = 100
)

func (c *Client) send(ctx context.Context, r Request, ticket, key string) error {
	msg, err := wire.EncodeCommand(wire.Command{
		Method: r.Method, Arguments: r.Arguments, Destination: r.Destination, Pattern: r.Pattern, Matcher: r.Matcher,
		Ticket: ticket, ReplyTo: key, Clock: c.Clock.Forward(), Expires: time.Now().Add(r.timeout()),
	})
	if err != nil {
		return fmt.Errorf("control: %w: %w", broker.ErrInvalid, err)
	}
	exchange := wire.ControlExchange()
	if c.Declare.Creates() {
		if err := c.Broker.Declare(ctx, broker.Topology{Exchanges: []broker.Exchange{exchange}}); err != nil {
			return fmt.Errorf("control: %s: %w", r.Method, err)
		}
	}
	if err := c.Broker.Publish(ctx, broker.Address{Exchange: exchange.Name}, msg); err != nil {
		return fmt.Errorf("control: %s: %w", r.Method, err)
	}
	return nil
}

// collect reads answers until there are enough of them.
func (c *Client) collect(ctx context.Context, consumer broker.Consumer, r Request, ticket string) ([]Reply, error) {
	deadline := time.Now().Add(r.timeout())
	var replies []Reply
	for len(r.Destination) == 0 || len(replies) < len(r.Destination) {
		until := deadline
		if quiet := time.Now().Add(r.Quiet); r.Quiet > 0 && len(replies) > 0 && quiet.Before(deadline) {
			until = quiet
		}
		waiting, cancel := context.WithDeadline(ctx, until)
		d, err := consumer.Next(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("control: %s: %w", r.Method, ctx.Err())
		case errors.Is(err, context.DeadlineExceeded):
			return sorted(replies), nil
		case err != nil:
			return nil, fmt.Errorf("control: %s: %w", r.Method, err)
		}
		answer, err := wire.DecodeAnswer(d, c.Accept, c.Limits)
		if err != nil {
			c.Logger.WarnContext(ctx, "answer was unreadable", "method", r.Method, "error", err)
			continue
		}
		c.Clock.Adjust(answer.Clock)
		if answer.Ticket != ticket {
			continue
		}
		for node, value := range answer.Nodes {
			replies = append(replies, Reply{Node: node, Value: value})
		}
	}
	return sorted(replies), nil
}

func sorted(replies []Reply) []Reply {
	slices.SortStableFunc(replies, func(a, b Reply) int { return strings.Compare(a.Node, b.Node) })
	return replies
}
