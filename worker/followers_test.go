package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const elsewhere = "elsewhere" // nobody here consumes it

// follower is a call of a task that runs elsewhere.
func follower(name, id string) task.Signature {
	return task.Signature{Task: name, CallOptions: task.CallOptions{ID: id, Queue: elsewhere}}
}

// workflow is a call with everything that can follow.
func workflow(name string) task.Signature {
	s := task.Signature{Task: name, CallOptions: task.CallOptions{
		ID: "1", Link: []task.Signature{follower("link", "")}, LinkError: []task.Signature{follower("errback", "")},
		Chain: []task.Signature{follower("step", "2"), follower("step", "3")},
	}}
	return s
}

// sick is a result that cannot be encoded without a panic.
type sick struct{}

func (sick) MarshalJSON() ([]byte, error) { panic("sick") }

func endings() []task.Definition {
	ends := func(name string, f func(context.Context, none) (any, error), opts ...task.Option) task.Definition {
		return task.New(name, f, opts...)
	}
	fail := func(err error) func(context.Context, none) (any, error) {
		return func(context.Context, none) (any, error) { return nil, err }
	}
	return []task.Definition{
		ends("ok", func(context.Context, none) (any, error) { return 7, nil }),
		ends("early", func(context.Context, none) (any, error) { return 7, nil }, task.AckEarly()),
		ends("fail", fail(errors.New("boom"))),
		ends("dead", fail(errors.New("boom")), task.RejectOnFailure()),
		ends("retry", fail(task.RetryAfter(errors.New("later"), time.Hour))),
		ends("reject", fail(task.Reject(errors.New("not mine")))),
		ends("ignore", fail(task.ErrIgnore)),
		ends("odd", func(context.Context, none) (any, error) { return make(chan int), nil }),
		ends("sick", func(context.Context, none) (any, error) { return sick{}, nil }),
		ends("panic", func(context.Context, none) (any, error) { panic("oops") }),
		ends("slow", func(ctx context.Context, _ none) (any, error) { time.Sleep(10 * time.Second); return nil, nil }, task.TimeLimit(time.Second)),
	}
}

// The order in which the outcome of a task takes effect is the whole guarantee: what comes after is sure before what was before is gone.
func TestTheOrderOfEffects(t *testing.T) {
	t.Parallel()
	const failed = "store FAILURE 1, store FAILURE 2, store FAILURE 3, publish errback"
	chord := workflow("ok")
	chord.Chord, chord.GroupID = &task.Signature{Task: "body", CallOptions: task.CallOptions{ID: "B", Queue: elsewhere}}, "G"
	failedChord := chord
	failedChord.Task = "fail"
	expired := workflow("ok")
	expired.Expires = time.Unix(1, 0)
	ignored, failedIgnored := workflow("ok"), workflow("fail")
	ignored.IgnoreResult, failedIgnored.IgnoreResult = true, true
	several := workflow("ok")
	several.Link = []task.Signature{follower("a", ""), follower("b", "")}
	for _, c := range []struct {
		name string
		call task.Signature
		want string
	}{
		{"success", workflow("ok"), "publish link, publish step, store SUCCESS 1, ack"},
		{"several links", several, "publish a, publish b, publish step, store SUCCESS 1, ack"},
		{"early acknowledgement", workflow("early"), "ack now, publish link, publish step, store SUCCESS 1"},
		{"failure", workflow("fail"), failed + ", ack"},
		{"panic", workflow("panic"), failed + ", ack"},
		{"no value", workflow("odd"), failed + ", ack"},
		{"value that panics", workflow("sick"), failed + ", ack"},
		{"hard time limit", workflow("slow"), failed + ", ack"},
		{"dead letter", workflow("dead"), failed + ", reject"},
		{"rejection", workflow("reject"), failed + ", reject"},
		{"chord", chord, "publish link, publish step, store SUCCESS 1, join 1 SUCCESS, publish body, forget G, ack"},
		{"failure in a chord", failedChord, failed + ", join 1 FAILURE, store FAILURE B, forget G, ack"},
		{"retry", workflow("retry"), "store RETRY 1, publish retry in 1h0m0s, ack"},
		{"nothing of it", workflow("ignore"), "ack"},
		{"expiry", expired, "store REVOKED 1, store REVOKED 2, store REVOKED 3, ack"},
		{"unknown task", workflow("unknown"), failed + ", reject"},
		{"result ignored", ignored, "publish link, publish step, ack"},
		{"failure ignored", failedIgnored, "store FAILURE 2, store FAILURE 3, publish errback, ack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := &journal{left: -1}
				store := resultmem.New(resultmem.Config{})
				h := start(t, plan{tasks: endings(), wrap: j.watchBroker, results: watchedJoiner{watchedStore{store, j}, store}})
				h.declare(broker.Queue{Name: elsewhere})
				if err := store.OpenChord(t.Context(), task.Ref{ID: "G", Group: true, Members: []task.Ref{{ID: "1"}}}); err != nil {
					t.Fatal(err)
				}
				h.send(c.call)
				time.Sleep(time.Minute)
				if got := j.text(); got != c.want {
					t.Errorf("%s\nwant %s", got, c.want)
				}
			})
		})
	}
}

// Between any two effects everything may end. What was done before is done again by the next worker, under the same ids.
func TestACrashBetweenTwoEffectsLosesNothing(t *testing.T) {
	t.Parallel()
	for name, effects := range map[string][]string{
		"ok":   {"publish link", "publish step", "store SUCCESS 1", "ack"},
		"fail": {"store FAILURE 1", "store FAILURE 2", "store FAILURE 3", "publish errback", "ack"},
	} {
		for crash := range effects {
			t.Run(name+" before "+effects[crash], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { survive(t, name, effects, crash) })
			})
		}
	}
}

func survive(t *testing.T, name string, effects []string, crash int) {
	j := &journal{left: -1}
	p := plan{
		tasks: endings(), wrap: j.watchBroker, server: mem.NewServer(), results: watchedStore{resultmem.New(resultmem.Config{}), j},
		before: func(h *house) { h.declare(broker.Queue{Name: elsewhere}) },
	}
	first := start(t, p)
	j.allow(crash)
	first.send(workflow(name))
	time.Sleep(time.Minute)
	if got, want := j.text(), strings.Join(effects[:crash], ", "); got != want {
		t.Fatalf("before the crash: %s\nwant %s", got, want)
	}
	_ = first.stop()
	j.allow(-1)
	second := start(t, p)
	time.Sleep(time.Minute)
	for _, effect := range effects {
		if !j.has(effect) {
			t.Errorf("%s is missing: %s", effect, j.text())
		}
	}
	ids := map[string]string{}
	for _, d := range second.take(elsewhere) {
		name, id := d.Headers["task"].(string), d.Headers["id"].(string)
		if ids[name] != "" && ids[name] != id {
			t.Errorf("%s was called as %s and as %s", name, ids[name], id)
		}
		ids[name] = id
	}
	second.wantWaiting(queue, 0)
}

// A broker that is away for a while costs time.
func TestWhatFollowsWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		h := start(t, plan{
			tasks: endings(), wrap: j.watchBroker, results: watchedStore{resultmem.New(resultmem.Config{}), j}, opts: worker.Options{Concurrency: 1},
		})
		h.declare(broker.Queue{Name: elsewhere})
		h.send(workflow("ok"))
		time.Sleep(time.Hour)
		if got := j.text(); got != "" {
			t.Fatalf("done without a broker: %s", got)
		}
		j.allow(-1)
		h.outcome("1")
		h.wantWaiting(elsewhere, 2)
	})
}

// An errback that cannot be sent keeps the failed task from being done with.
func TestErrbacksWaitForTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{left: -1, down: "publish"}
		h := start(t, plan{tasks: endings(), wrap: j.watchBroker, results: watchedStore{resultmem.New(resultmem.Config{}), j}})
		h.send(workflow("fail"))
		time.Sleep(time.Hour)
		_ = h.stop()
		if got, want := j.text(), "store FAILURE 1, store FAILURE 2, store FAILURE 3, requeue"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// A large group waits for the broker as often as a small one, or nearly so.
func TestManyCallsAreSentSeveralAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 500
		var sent, flying, most atomic.Int32
		h := start(t, plan{tasks: endings(), send: func(context.Context, task.Signature, codec.Codec) error {
			most.Store(max(most.Load(), flying.Add(1)))
			time.Sleep(time.Second)
			flying.Add(-1)
			sent.Add(1)
			return nil
		}})
		s := workflow("ok")
		for range calls {
			s.Link = append(s.Link, follower("link", ""))
		}
		began := time.Now()
		h.send(s)
		h.outcome("1")
		if n := sent.Load(); n != calls+2 { // and the first link, and the next step
			t.Errorf("%d calls were sent before the outcome was stored, want %d", n, calls+2)
		}
		if took := time.Since(began); took > calls/16*2*time.Second || most.Load() > 16 {
			t.Errorf("it took %s, with %d calls at a time", took, most.Load())
		}
	})
}

func TestWhatCanNeverFollowFailsTheTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{left: -1}
		h := start(t, plan{tasks: endings(), wrap: j.watchBroker, results: watchedStore{resultmem.New(resultmem.Config{}), j}})
		h.declare(broker.Queue{Name: elsewhere})
		s := workflow("ok")
		s.Chain[0].Queue = "nowhere"
		h.send(s)
		remote := h.wantFailure("1", "Exception")
		if !strings.Contains(remote.Message, "step") || !strings.Contains(remote.Message, "unroutable") {
			t.Errorf("message = %q, want which task and why", remote.Message)
		}
		synctest.Wait()
		if got, want := j.text(), "publish link, store FAILURE 1, store FAILURE 2, store FAILURE 3, publish errback, ack"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}
