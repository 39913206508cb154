package amqp

import (
	"errors"
	"io"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

// Messages are submitted many at a time: when the channel ends, some were written and others not.
func TestOnlyWhatMayHaveBeenWrittenIsInDoubt(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), Config{URL: "amqp://127.0.0.1:1", Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	ended := make(chan struct{})
	close(ended)
	for _, begun := range []bool{false, true} {
		p, err := encode(broker.Address{RoutingKey: "q", FailFast: true}, broker.Message{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		lost := &lane{s: &session{done: ended, cause: io.EOF}, ended: ended, cause: io.EOF}
		f := flight{publishing: p, lane: lost, job: &job{publishing: p, taken: make(chan struct{}), begun: begun}}
		err = b.settle(t.Context(), f, &token{})
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUnconfirmed) != begun {
			t.Errorf("begun %v: %v, want ErrUnavailable, and ErrUnconfirmed when it was begun", begun, err)
		}
	}
}
