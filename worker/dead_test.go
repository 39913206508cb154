package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const quarantine = "celery.quarantine"

// take removes the messages of a queue and returns them.
func (h *house) take(name string) []*broker.Delivery {
	h.t.Helper()
	var all []*broker.Delivery
	for range h.waiting(name) {
		all = append(all, h.handOut(name, broker.Ack))
	}
	return all
}

// handOut takes one message and settles it.
func (h *house) handOut(name string, how broker.Disposition) *broker.Delivery {
	h.t.Helper()
	consumer, err := h.broker.Consume(h.t.Context(), broker.ConsumeConfig{Queues: []string{name}, Prefetch: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := consumer.Next(h.t.Context())
	if err == nil {
		err = d.Settle(h.t.Context(), how)
	}
	if err := errors.Join(err, consumer.Close(h.t.Context())); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// suspect puts a call into the quarantine, as one that has seen two deaths.
func (h *house) suspect(s task.Signature, name string) {
	h.t.Helper()
	msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now()})
	if err != nil {
		h.t.Fatal(err)
	}
	d := broker.NewDelivery(msg, nil)
	stamp := deadletter.Stamp{Deaths: 2, Origin: deadletter.Origin{Queue: name, Exchange: "elsewhere", RoutingKey: "key"}}
	h.declare(broker.Queue{Name: deadletter.Quarantine(name)})
	to := broker.Address{RoutingKey: deadletter.Quarantine(name)}
	if err := h.broker.Publish(h.t.Context(), to, stamp.Write(d, time.Now())); err != nil {
		h.t.Fatal(err)
	}
}

func withID(s task.Signature, id string) task.Signature {
	s.ID = id
	return s
}

func TestEveryRejectionIsADeadLetterWithItsReason(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.DeadLetters, opts.Hostname = true, "w1@box"
		reject := task.New("tasks.reject", func(context.Context, none) (int, error) {
			return 0, task.Reject(errors.New("not mine: amqp://me:hush@h/"))
		})
		fail := task.New("tasks.fail", func(context.Context, none) (int, error) { return 0, errors.New("boom") }, task.RejectOnFailure())
		early := task.New("tasks.early", func(context.Context, none) (int, error) { return 0, errors.New("boom") }, task.RejectOnFailure(), task.AckEarly())
		h := start(t, plan{opts: opts, tasks: []task.Definition{reject, fail, early}})
		s := reject.S(none{}, task.Header("tenant", "acme"))
		s.Expires = time.Now().Add(time.Hour)
		id := h.send(s)
		h.wantFailure(id, "Reject")
		h.wantFailure(h.send(fail.S(none{})), "Exception")
		h.wantFailure(h.send(early.S(none{})), "Exception")
		h.wantFailure(h.send(task.Signature{Task: "no.such.task"}), "NotRegistered")
		h.publish(broker.Message{ContentType: "application/json", Body: []byte(`{"no": "task"}`)})
		h.publish(broker.Message{ContentType: "application/x-python-serialize", Headers: broker.Table{"task": "t", "id": "1"}})
		synctest.Wait()
		h.wantWaiting(queue, 0)
		want := []deadletter.Reason{"rejected", "failed", "failed", "unregistered", "malformed", "refused"}
		letters := h.take(dead)
		if len(letters) != len(want) {
			t.Fatalf("%d dead letters, want %d", len(letters), len(want))
		}
		for i, d := range letters {
			l := deadletter.Read(d)
			if l.Reason != want[i] || l.Error == "" || l.Origin != (deadletter.Origin{Queue: queue, RoutingKey: queue}) || l.Worker != "w1@box" || l.At.IsZero() || l.Deliveries != 1 {
				t.Errorf("letter %d = %+v, want reason %s and the rest", i, l, want[i])
			}
			if d.Expiration != 0 {
				t.Errorf("letter %d expires in %s", i, d.Expiration)
			}
		}
		first := letters[0]
		if first.Headers["id"] != id || first.Headers["tenant"] != "acme" || !strings.HasPrefix(string(first.Body), "[[") {
			t.Errorf("the call is not kept: %v %s", first.Headers, first.Body)
		}
		if text := deadletter.Read(first).Error; strings.Contains(text, "hush") || !strings.Contains(text, "me:**@h") {
			t.Errorf("error = %q, want the password masked", text)
		}
	})
}

func TestADeletedQueueOfDeadLettersComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{DeadLetters: true}, tasks: []task.Definition{add()}})
		synctest.Wait() // it has declared its queues
		if err := h.broker.(broker.Deleter).DeleteQueue(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		h.wantFailure(h.send(task.Signature{Task: "no.such.task"}), "NotRegistered")
		synctest.Wait()
		h.wantWaiting(dead, 1)
		h.wantWaiting(queue, 0)
	})
}

func TestDeathsLeadToTheQuarantineAndFromThereTheTaskRuns(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.DeadLetters = true
		var isolated atomic.Bool
		seen := task.New("tasks.seen", func(ctx context.Context, _ none) (string, error) {
			r := task.FromContext(ctx)
			for name := range r.Headers {
				if strings.HasPrefix(name, wire.OwnPrefix) {
					return "", errors.New("the task sees " + name)
				}
			}
			isolated.Store(r.Exchange == "" && r.RoutingKey == queue)
			if r.Retries == 0 {
				return "", task.RetryAfter(errors.New("once more"), 0)
			}
			return r.Queue, nil
		})
		h := start(t, plan{opts: opts, tasks: []task.Definition{seen}, before: func(h *house) {
			h.send(withID(seen.S(none{}), "s"))
			for range 2 { // a worker dies
				h.handOut(queue, broker.Requeue)
			}
		}})
		wantValue(t, h.outcome("s"), queue)
		if !isolated.Load() {
			t.Error("the request does not say where it was sent to first")
		}
		synctest.Wait()
		for _, name := range []string{queue, quarantine, dead} {
			h.wantWaiting(name, 0)
		}
	})
}

func TestASuspectThatKillsItsWorkerIsCondemned(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.DeadLetters = true
		h := start(t, plan{opts: opts, tasks: []task.Definition{add()}, before: func(h *house) {
			h.suspect(withID(add().S(pair{1, 2}), "killer"), queue)
			h.handOut(quarantine, broker.Requeue)
			h.suspect(withID(add().S(pair{3, 4}), "innocent"), queue)
		}})
		remote := h.wantFailure("killer", "WorkerLostError")
		if !errors.Is(remote, task.ErrWorkerLost) || remote.Module != "billiard.exceptions" || remote.Message != "the worker was lost 3 times while it had this task" {
			t.Errorf("remote = %+v", remote)
		}
		wantValue(t, h.outcome("innocent"), 7)
		synctest.Wait()
		h.wantWaiting(quarantine, 0)
		letters := h.take(dead)
		if len(letters) != 1 {
			t.Fatalf("%d dead letters, want the killer", len(letters))
		}
		l := deadletter.Read(letters[0])
		origin := deadletter.Origin{Queue: queue, Exchange: "elsewhere", RoutingKey: "key"}
		if l.Reason != deadletter.DeliveryLimit || l.Deliveries != 3 || l.Origin != origin || letters[0].Headers["id"] != "killer" {
			t.Errorf("letter = %+v", l)
		}
	})
}

func TestASuspectHasTheWorkerForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, others, together atomic.Int32
		count := func(mine, theirs *atomic.Int32, alone int32) {
			if mine.Add(1) > alone || theirs.Load() > 0 {
				together.Add(1)
			}
			time.Sleep(time.Second)
			mine.Add(-1)
		}
		slow := task.New("tasks.slow", func(context.Context, none) (int, error) { count(&running, &others, 1); return 1, nil }, task.AckEarly())
		other := task.New("tasks.other", func(context.Context, none) (int, error) { count(&others, &running, 4); return 2, nil })
		queues := []string{queue, "mail"}
		h := start(t, plan{opts: worker.Options{Pool: pool.Goroutines, Concurrency: 4, DeadLetters: true}, queues: queues, tasks: []task.Definition{slow, other}, before: func(h *house) {
			for i := range 4 {
				h.suspect(withID(slow.S(none{}), fmt.Sprint("s", i)), queues[i%2])
			}
		}})
		for i := range 40 {
			h.send(withID(other.S(none{}), fmt.Sprint("o", i)))
		}
		time.Sleep(5 * time.Second)
		for i := range 2 { // while the others run
			h.suspect(withID(slow.S(none{}), fmt.Sprint("late", i)), queues[i])
		}
		for i := range 2 {
			wantValue(t, h.outcome(fmt.Sprint("late", i)), 1)
		}
		if done, err := h.results.Get(t.Context(), "o39"); err != nil || done.State.Ready() {
			t.Errorf("o39 = %s, %v: the late suspects had to wait for all others", done.State, err)
		}
		for i := range 40 {
			wantValue(t, h.outcome(fmt.Sprint("o", i)), 2)
		}
		if n := together.Load(); n != 0 {
			t.Errorf("%d times a suspect was not alone", n)
		}
	})
}

func TestSuspectsAndTasksThatTakeHoursDoNotHoldEachOtherUp(t *testing.T) {
	t.Parallel()
	for name, hoursIsSuspect := range map[string]bool{"long task": false, "long suspect": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hours := task.New("tasks.hours", func(context.Context, none) (int, error) { time.Sleep(2 * time.Hour); return 1, nil })
				h := start(t, plan{opts: worker.Options{Pool: pool.Goroutines, Concurrency: 2, DeadLetters: true}, tasks: []task.Definition{hours, add()}})
				long, short := withID(hours.S(none{}), "long"), withID(add().S(pair{1, 2}), "short")
				if hoursIsSuspect {
					h.suspect(long, queue)
				} else {
					h.send(long)
				}
				time.Sleep(10 * time.Second) // it runs
				began := time.Now()
				if hoursIsSuspect {
					h.send(short)
				} else {
					h.suspect(short, queue)
				}
				wantValue(t, h.outcome("short"), 3)
				if took := time.Since(began); took > time.Minute {
					t.Errorf("the other task took %s", took)
				}
				wantValue(t, h.outcome("long"), 1)
				h.wantWaiting(quarantine, 0)
				h.wantWaiting(dead, 0)
			})
		})
	}
}

func TestASuspectThatAsksToComeAgainLetsOthersRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		again := task.New("tasks.again", func(context.Context, none) (int, error) {
			if tries.Add(1) < 5 {
				return 0, task.Requeue(errors.New("not now"))
			}
			return 1, nil
		})
		h := start(t, plan{opts: worker.Options{DeadLetters: true}, tasks: []task.Definition{again, add()}, before: func(h *house) {
			h.suspect(withID(again.S(none{}), "again"), queue)
		}})
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		if n := tries.Load(); n >= 5 {
			t.Errorf("the suspect ran %d times before anything else", n)
		}
		wantValue(t, h.outcome("again"), 1)
		synctest.Wait()
		h.wantWaiting(dead, 0)
	})
}

func TestAShutdownDoesNotCountAgainstASuspect(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.DeadLetters = true
		polite := task.New("tasks.polite", func(ctx context.Context, _ none) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { time.Sleep(time.Hour); return 0, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{polite, deaf}, before: func(h *house) {
			h.suspect(withID(polite.S(none{}), "polite"), queue)
			h.suspect(withID(deaf.S(none{}), "next"), queue)
		}})
		synctest.Wait()
		h.cancel()
		synctest.Wait()
		h.worker.Terminate()
		if err := h.stop(); !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("err = %v, want ErrAbandoned", err)
		}
		h.wantWaiting(dead, 0)
		back := h.take(quarantine)
		if len(back) != 2 {
			t.Fatalf("%d suspects are back, want 2", len(back))
		}
		for _, d := range back {
			if stamp, ok := deadletter.ReadStamp(d.Headers); !ok || stamp.Deaths != 2 || d.Count != 0 {
				t.Errorf("%s came back with %+v, delivered %d times before", d.Headers["id"], stamp, d.Count)
			}
		}
	})
}

func TestADeafSuspectGoesBackUncounted(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.DeadLetters, opts.ShutdownTimeout = true, time.Second
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { time.Sleep(time.Minute); return 0, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{deaf}, before: func(h *house) {
			h.suspect(withID(deaf.S(none{}), "deaf"), queue)
		}})
		synctest.Wait()
		if err := h.stop(); !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("err = %v, want ErrAbandoned", err)
		}
		back := h.take(quarantine)
		if len(back) != 1 || back[0].Count != 0 {
			t.Errorf("%d suspects are back, want one that is as it was", len(back))
		}
		time.Sleep(time.Minute)
	})
}

func TestWithoutDeadLettersNothingIsDeclaredAndNothingCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}, before: func(h *house) {
			h.send(withID(add().S(pair{1, 2}), "a"))
			for range 10 {
				h.handOut(queue, broker.Requeue)
			}
		}})
		wantValue(t, h.outcome("a"), 3)
		if _, err := h.broker.(broker.Measurer).Measure(t.Context(), quarantine); !errors.Is(err, broker.ErrNoQueue) {
			t.Errorf("err = %v, want no quarantine", err)
		}
	})
}
