package amqp

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// The words are RabbitMQ's; those of which nothing can be read stay as they are.
func TestClashesAreReadFromTheBrokersWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, words string
		want        broker.DeclareError
	}{
		{
			"q", "inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received the value '10' of type 'signedint' but current is none",
			broker.DeclareError{Argument: "x-max-priority", Asked: "10", Existing: broker.NotSet},
		},
		{
			"q", "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
			broker.DeclareError{Argument: "durable", Asked: "false", Existing: "true"},
		},
		{
			"it's", "inequivalent arg 'x-dead-letter-exchange' for queue 'it's' in vhost '/': received the value '' of type 'longstr' but current is the value 'it's' of type 'longstr'",
			broker.DeclareError{Argument: "x-dead-letter-exchange", Existing: "it's"},
		},
		{"q", "inequivalent arg 'x-new' for queue 'q' in vhost '/': received a list but current is none", broker.DeclareError{}},
		{"q", "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true'", broker.DeclareError{}},
		{"q", "inequivalent arg 'durable' for queue 'other' in vhost '/': received 'true' but current is 'false'", broker.DeclareError{}},
		{"q", "inequivalent", broker.DeclareError{}},
	} {
		tt.want.Object, tt.want.Name, tt.want.Vhost, tt.want.Detail, tt.want.Messages = "queue", tt.name, "/", tt.words, -1
		reply := &amqp091.Error{Code: codePrecondition, Reason: "PRECONDITION_FAILED - " + tt.words, Server: true, Recover: true}
		got, ok := declareError("queue", tt.name, "/", reply).(*broker.DeclareError) //nolint:errorlint // it is this very one
		if !ok || *got != tt.want {
			t.Errorf("%s\n got %+v,\nwant %+v", tt.words, got, tt.want)
		}
	}
}
