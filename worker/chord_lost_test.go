package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/wire"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// killer is a task of the chord B0 that has killed its workers so many times, handed out once more.
func (h *house) killer(deaths int) {
	h.t.Helper()
	s := call("ok", "M")
	s.GroupID, s.Chain = "G", []task.Signature{call("echo", "S")}
	s.Chain[0].GroupID = "G"
	body := call("body", "B0")
	s.Chain[0].Chord = &body
	header := task.Ref{ID: "G", Group: true, Members: []task.Ref{{ID: "S"}}}
	msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now()})
	if err = errors.Join(err, h.results.(result.Joiner).OpenChord(h.t.Context(), header)); err != nil {
		h.t.Fatal(err)
	}
	h.declare(broker.Queue{Name: quarantine})
	stamp := deadletter.Stamp{Deaths: deaths, Origin: deadletter.Origin{Queue: queue}}
	to := broker.Address{RoutingKey: quarantine}
	if err := h.broker.Publish(h.t.Context(), to, stamp.Write(broker.NewDelivery(msg, nil), time.Now())); err != nil {
		h.t.Fatal(err)
	}
	h.handOut(quarantine, broker.Requeue)
}

// withoutCount is a broker that does not count how often it handed a message out, as RabbitMQ with classic queues.
func withoutCount(b *mem.Broker) broker.Broker { return uncounted{b} }

type uncounted struct{ *mem.Broker }

func (b uncounted) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	return uncountedConsumer{c}, err
}

type uncountedConsumer struct{ broker.Consumer }

func (c uncountedConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	if err == nil {
		d.Count = -1
	}
	return d, err
}

// A task that killed its workers cannot be asked for those who wait for it but by its body.
func TestACondemnedTaskSettlesWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	for kind, wrap := range map[string]func(*mem.Broker) broker.Broker{"quorum": nil, "classic": withoutCount} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log callLog
				h := start(t, plan{
					opts: worker.Options{DeadLetters: true}, tasks: chordTasks(&log), limits: limitmem.New(), wrap: wrap,
					before: func(h *house) { h.killer(2) },
				})
				remote := h.wantFailure("B0", "ChordError")
				if want := "Dependency S raised WorkerLostError("; !strings.HasPrefix(remote.Message, want) {
					t.Errorf("ChordError %s, want %s", remote.Message, want)
				}
				for _, id := range []string{"M", "S"} {
					if remote := h.wantFailure(id, "WorkerLostError"); remote.Message != "the worker was lost 3 times while it had this task" {
						t.Errorf("%s: %s", id, remote.Message)
					}
				}
				synctest.Wait()
				h.wantWaiting(quarantine, 0)
				h.wantWaiting(dead, 1)
			})
		})
	}
}

// To read the body may be what kills: who dies of that leaves a message of which only the headers are read.
func TestTheBodyOfACondemnedTaskIsReadOnce(t *testing.T) {
	t.Parallel()
	for kind, wrap := range map[string]func(*mem.Broker) broker.Broker{"quorum": nil, "classic": withoutCount} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log callLog
				h := start(t, plan{
					opts: worker.Options{DeadLetters: true}, tasks: chordTasks(&log), limits: limitmem.New(), wrap: wrap,
					before: func(h *house) { h.killer(3) },
				})
				h.wantFailure("M", "WorkerLostError")
				synctest.Wait()
				h.wantWaiting(dead, 1)
				if meta, err := h.results.Get(t.Context(), "S"); err != nil || meta.State != task.Pending {
					t.Errorf("what waits for it: %s, %v; the body was read", meta.State, err)
				}
			})
		})
	}
}

// A body that can never be sent is one that fails.
func TestABodyThatCannotBeSentFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		h := start(t, plan{tasks: chordTasks(&log), limits: limitmem.New()})
		body := call("body", "B0")
		body.Queue, body.LinkError = "nowhere", []task.Signature{call("errback", "E")}
		outer := chord(call("body", "B1"), chord(body, call("ok", "M"), call("ok", "")), call("ok", ""))
		h.apply(outer, nil)
		for id, want := range map[string]string{"B0": "Callback error: ", "B1": `Dependency B0 raised ChordError(`} {
			if remote := h.wantFailure(id, "ChordError"); !strings.HasPrefix(remote.Message, want) {
				t.Errorf("%s: %s, want %s", id, remote.Message, want)
			}
		}
		wantValue(t, h.outcome("E"), "B0")
		synctest.Wait()
		h.wantWaiting(queue, 0)
	})
}

// While the store is away a body waits, and the worker goes on with the others.
func TestABodyWaitsForTheStoreThatItIsClaimedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		j := &journal{left: -1, down: "claim"}
		store := resultmem.New(resultmem.Config{})
		h := start(t, plan{
			tasks: chordTasks(&log), limits: limitmem.New(), server: mem.NewServer(), results: watchedJoiner{watchedStore{store, j}, store},
			opts: worker.Options{Concurrency: 1},
		})
		h.apply(chord(call("body", "B0"), call("ok", ""), call("ok", "")), nil)
		time.Sleep(time.Minute)
		h.outcome(h.send(call("ok", "other")))
		if log.text() != "" {
			t.Errorf("ran: %s", log.text())
		}
		j.mu.Lock()
		j.down = ""
		j.mu.Unlock()
		if got := string(h.outcome("B0").Result); got != "[7,7]" {
			t.Errorf("result = %s", got)
		}
	})
}

// polled is a store that does not count.
type polled struct{ result.Backend }

// Where chords are not counted they are polled: what a worker starts, and what it gets.
func TestAStoreThatDoesNotCountIsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		h := start(t, plan{tasks: chordTasks(&log), limits: limitmem.New(), results: polled{resultmem.New(resultmem.Config{})}})
		s := call("ok", "1")
		s.Link = []task.Signature{chord(call("body", "B0"), call("echo", ""), call("echo", ""))}
		h.send(s)
		if got := string(h.outcome("B0").Result); got != "[7,7]" {
			t.Errorf("result = %s", got)
		}
		time.Sleep(time.Minute)
		if got := log.text(); got != "echo7, echo7, body[7,7]" {
			t.Errorf("ran: %s", got)
		}
	})
}
