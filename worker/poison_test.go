package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/task"
)

// What becomes of a message whose earlier deliveries ended without an outcome.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	type seen struct {
		count              int // -1: a queue that does not count
		redelivered, after bool
	}
	first, again := seen{count: -1}, seen{count: -1, redelivered: true}
	counted := func(n int) seen { return seen{count: n, redelivered: n > 0} }
	for _, c := range []struct {
		name    string
		seen    seen
		known   int
		suspect bool
		limit   int
		deaths  int
		want    remedy
	}{
		{name: "first delivery", seen: first, limit: 3, want: proceed},
		{name: "first delivery, counted", seen: counted(0), limit: 3, want: proceed},
		{name: "one death on a queue that does not count", seen: again, limit: 3, deaths: 1, want: recount},
		{name: "the recounted copy runs", seen: first, known: 1, limit: 3, deaths: 1, want: proceed},
		{name: "its second death", seen: again, known: 1, limit: 3, deaths: 2, want: isolate},
		{name: "one death on a queue that counts", seen: counted(1), limit: 3, deaths: 1, want: proceed},
		{name: "its second death, counted", seen: counted(2), limit: 3, deaths: 2, want: isolate},
		{name: "many give-backs are no verdict", seen: counted(50), limit: 3, deaths: 50, want: isolate},
		{name: "one death of two", seen: again, limit: 2, deaths: 1, want: isolate},
		{name: "one death of five", seen: counted(3), limit: 5, deaths: 3, want: proceed},
		{name: "four deaths of five", seen: counted(4), limit: 5, deaths: 4, want: isolate},
		{name: "a parked suspect comes back", seen: first, known: 2, limit: 3, deaths: 2, want: isolate},
		{name: "a suspect runs", seen: first, known: 2, suspect: true, limit: 3, deaths: 2, want: proceed},
		{name: "a suspect runs, counted", seen: counted(0), known: 2, suspect: true, limit: 3, deaths: 2, want: proceed},
		{name: "a suspect dies", seen: again, known: 2, suspect: true, limit: 3, deaths: 3, want: condemn},
		{name: "a suspect dies, counted", seen: counted(1), known: 2, suspect: true, limit: 3, deaths: 3, want: condemn},
		{name: "a suspect dies before the limit", seen: again, suspect: true, limit: 3, deaths: 1, want: proceed},
		{name: "the connection was lost", seen: seen{-1, true, true}, limit: 3, want: proceed},
		{name: "the connection was lost under a suspect", seen: seen{-1, true, true}, known: 2, suspect: true, limit: 3, deaths: 2, want: proceed},
		{name: "the connection was lost, counted", seen: seen{7, true, true}, limit: 3, want: proceed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := broker.NewDelivery(broker.Message{}, nil)
			d.Count, d.Redelivered, d.Recovered = c.seen.count, c.seen.redelivered, c.seen.after
			deaths, what := diagnose(d, c.known, c.suspect, c.limit)
			if deaths != c.deaths || what != c.want {
				t.Errorf("got %d deaths, remedy %d; want %d, %d", deaths, what, c.deaths, c.want)
			}
		})
	}
}

// A task that outlives its connection comes again: its worker knows that nobody died.
func TestASuspectWhoseDeliveryWasLostIsNotCondemnedByTheWorkerThatRanIt(t *testing.T) {
	t.Parallel()
	var registry task.Registry
	w, err := New(Config{
		Broker: mem.NewServer().Open(), Registry: &registry, Logger: slog.New(slog.DiscardHandler),
		Options: Options{DeadLetters: true, Queues: []string{"celery"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, end := w.begin(t.Context())
	defer end()
	again := func() *arrival {
		stale := func(context.Context, broker.Disposition) error { return broker.ErrStale }
		d := broker.NewDelivery(broker.Message{Headers: broker.Table{"id": "s", "task": "t", "x-taskq-deliveries": int32(2)}}, stale)
		d.Redelivered = true
		return arrive(d, &suspect{quarantine: "celery.quarantine", over: make(chan struct{})})
	}
	if err := w.settleDelivery(again(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Fatalf("settle = %v, want ErrStale", err)
	}
	if a := again(); !w.admit(t.Context(), a) {
		t.Error("the suspect was not run")
	}
}
