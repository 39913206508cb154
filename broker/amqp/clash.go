package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
)

// declareError turns the broker's reply to a declaration into the errors of package broker.
func declareError(object, name, vhost string, err error) error {
	text := replyText(err)
	_, detail, found := strings.Cut(text, " - ")
	if !found {
		detail = text
	}
	switch {
	case isReply(err, codeLocked):
		return &broker.DeclareError{Object: object, Name: name, Vhost: vhost, Locked: true, Messages: -1, Detail: detail}
	case isReply(err, codePrecondition) && strings.Contains(text, "inequivalent"):
		clash := &broker.DeclareError{Object: object, Name: name, Vhost: vhost, Messages: -1, Detail: detail}
		clash.Argument, clash.Asked, clash.Existing = readClash(detail, object, name, vhost)
		return clash
	case isReply(err, codePrecondition):
		return fmt.Errorf("amqp: declare %s %q in vhost %q: %w: %s", object, name, vhost, broker.ErrInvalid, detail)
	}
	return fmt.Errorf("amqp: declare %s %q in vhost %q: %w", object, name, vhost, missingOrRefused(err))
}

// readClash takes RabbitMQ's words apart; all are "" when they are others.
//
//	inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'
//	inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received the value '10' of type 'signedint' but current is none
func readClash(detail, object, name, vhost string) (argument, asked, existing string) {
	head, values, ok := strings.Cut(detail, fmt.Sprintf("' for %s '%s' in vhost '%s': received ", object, name, vhost))
	argument, known := strings.CutPrefix(head, "inequivalent arg '")
	if !ok || !known {
		return "", "", ""
	}
	asked, existing, _ = strings.Cut(values, " but current is ")
	asked, isValue := clashValue(asked)
	existing, isValueToo := clashValue(existing)
	if !isValue || !isValueToo {
		return "", "", ""
	}
	return argument, asked, existing
}

// clashValue reads "none", "'true'" and "the value '10' of type 'signedint'".
func clashValue(text string) (value string, ok bool) {
	if text == "none" {
		return broker.NotSet, true
	}
	text, typed := strings.CutPrefix(text, "the value ")
	if i := strings.LastIndex(text, " of type '"); typed && i >= 0 {
		text = text[:i]
	}
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return "", false
	}
	return text[1 : len(text)-1], true
}

// withDepth adds to an error about a queue that exists how many messages wait there: whoever wants to replace it must know.
func (b *Broker) withDepth(ctx context.Context, err error) error {
	var clash *broker.DeclareError
	if !errors.As(err, &clash) || clash.Object != "queue" || clash.Locked {
		return err
	}
	if stats, failed := b.Measure(ctx, clash.Name); failed == nil {
		clash.Messages = stats.Messages
	}
	return err
}
