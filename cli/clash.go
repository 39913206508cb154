package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli/config"
)

func (s *Session) declareMode() broker.DeclareMode {
	return broker.DeclareMode(strings.ToLower(s.Config.Text("declare")))
}

// clashSentence says which queue or exchange is not as it was asked for, why that was asked, and the ways out.
func (s *Session) clashSentence(e *broker.DeclareError) string {
	what := fmt.Sprintf("%s %q in vhost %q", e.Object, e.Name, e.Vhost)
	if e.Locked {
		return what + " is exclusive to another connection; wait until that ends, or use another name"
	}
	var text strings.Builder
	if e.Argument == "" {
		fmt.Fprintf(&text, "%s exists with other properties than those asked for: %s", what, e.Detail)
	} else {
		fmt.Fprintf(&text, "%s exists with %s, asked for was %s (%s)", what, property(e.Argument, e.Existing), property(e.Argument, e.Asked), s.whoAsked(e))
	}
	if e.Messages >= 0 {
		text.WriteString("; " + waiting(e.Messages))
	}
	text.WriteString("\nIt is never changed or deleted by itself. One of these helps:")
	for _, way := range s.waysOut(e) {
		text.WriteString("\n  - " + way)
	}
	return text.String()
}

// property words a value. A queue without a type is a classic one.
func property(argument, value string) string {
	text := broker.Property(argument, value)
	if argument == broker.ArgQueueType && value == broker.NotSet {
		text += " (classic)"
	}
	return text
}

// whoAsked is where the value comes from that was asked for.
func (s *Session) whoAsked(e *broker.DeclareError) string {
	if entry, ok := s.configured(e); ok && (e.Argument != broker.ArgMaxPriority || entry.Given("max_priority")) {
		return entry.Path + ", from " + entry.Origin.String()
	}
	for argument, name := range map[string]string{broker.ArgQueueType: "queue_type", broker.ArgMaxPriority: "queue_max_priority"} {
		if e.Argument == argument && s.Config.Given(name) {
			return name + ", from " + s.Config.Origin(name).String()
		}
	}
	return "the default, as Celery declares its queues"
}

// configured is the table of the queue that the error is about, or of one with that exchange.
func (s *Session) configured(e *broker.DeclareError) (config.Entry, bool) {
	for _, entry := range s.Config.Entries("queues") {
		if e.Object == "queue" && entry.Name == e.Name || e.Object == "exchange" && cmp.Or(entry.Text("exchange"), entry.Name) == e.Name {
			return entry, true
		}
	}
	return config.Entry{}, false
}

func waiting(messages int) string {
	switch messages {
	case 0:
		return "no message waits in it"
	case 1:
		return "1 message waits in it"
	}
	return fmt.Sprintf("%d messages wait in it", messages)
}

func (s *Session) waysOut(e *broker.DeclareError) []string {
	ways := []string{fmt.Sprintf("use the %s as it is: --declare=passive", e.Object)}
	if entry, ok := s.configured(e); ok {
		ways = append(ways, "ask for the same: change "+entry.Path)
	} else if e.Argument == broker.ArgQueueType {
		switch existing := e.Existing; {
		case existing == broker.NotSet:
			ways = append(ways, "ask for the same: leave queue_type out")
		case existing == string(broker.Classic), existing == string(broker.Quorum):
			ways = append(ways, "ask for the same: --queue-type="+existing)
		}
	}
	switch {
	case !s.onRabbitMQ():
	case e.Object == "queue":
		drain := ""
		if e.Messages != 0 {
			drain = "drain it first, with a worker that has --declare=passive, then "
		}
		ways = append(ways, fmt.Sprintf("replace it: %srabbitmqctl delete_queue --vhost %s --if-empty %s", drain, quote(e.Vhost), quote(e.Name)))
	default:
		ways = append(ways, fmt.Sprintf("replace it: rabbitmqadmin --vhost=%s delete %s name=%s", quote(e.Vhost), e.Object, quote(e.Name)))
	}
	return append(ways, "use another queue: -Q, --queue or default_queue")
}

func (s *Session) onRabbitMQ() bool {
	return s.app != nil && strings.HasPrefix(s.app.Config().BrokerURL, "amqp")
}

// quote makes one word for a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:@", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// missingSentence adds to an error about a queue that is missing that the configuration does not let it be created.
func (s *Session) missingSentence(text string, err error) string {
	if s.declareMode().Creates() {
		return text
	}
	origin := fmt.Sprintf("(declare is %s, from %s)", s.declareMode(), s.Config.Origin("declare"))
	if errors.Is(err, broker.ErrNoQueue) && errors.Is(err, broker.ErrUnroutable) {
		return text + " " + origin // it says how to create the delay queue
	}
	return text + "; create the queue, or let it be created with --declare=auto " + origin
}
