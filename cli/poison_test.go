//go:build !windows

package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// ledger counts what ran.
type ledger struct{ file string }

func (l ledger) runs(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile(l.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	runs := map[string]int{}
	for line := range strings.Lines(string(data)) {
		runs[strings.TrimSpace(strings.TrimPrefix(line, "ran "))]++
	}
	return runs
}

func (l ledger) send(t *testing.T, env map[string]string, name, id string, flags ...string) {
	t.Helper()
	args, err := json.Marshal([]string{l.file, id})
	if err != nil {
		t.Fatal(err)
	}
	succeeds(t, env, append([]string{"send", name, "--task-id", id, "--args", string(args)}, flags...)...)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// eachBroker runs the test on each kind of queue there is.
func eachBroker(t *testing.T, test func(t *testing.T, env map[string]string)) {
	t.Helper()
	for _, kind := range []string{"classic", "quorum", "embedded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := map[string]string{"TASKQ_RESULT_BACKEND": "sqlite://" + filepath.Join(dir, "r.db")}
			if kind == "embedded" {
				env["TASKQ_BROKER_URL"] = "sqlite://" + filepath.Join(dir, "b.db")
			} else {
				env["TASKQ_BROKER_URL"], env["TASKQ_QUEUE_TYPE"] = testserver.AMQPVhost(t), kind
			}
			test(t, env)
		})
	}
}

func asEnviron(t *testing.T, env map[string]string) []string {
	t.Helper()
	list := home(t)
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// supervise runs a worker, and another one each time that it dies, until the condition holds. It returns the one that is alive then.
func supervise(t *testing.T, env []string, holds func() bool, args ...string) *process {
	t.Helper()
	deadline := time.After(3 * patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		p := start(t, env, append([]string{"worker"}, args...)...)
		for alive := true; alive; {
			select {
			case <-p.done:
				alive = false
			case <-deadline:
				t.Fatalf("the condition does not hold\n%s", p.stderr)
			case <-tick.C:
				if holds() {
					return p
				}
			}
		}
	}
	t.Fatal("50 workers died")
	return nil
}

// crowd sends twenty tasks, with killers among them, and returns what must hold in the end.
func (l ledger) crowd(t *testing.T, env map[string]string, killer string, killers int) (holds func() bool) {
	t.Helper()
	const innocents = 20
	for i := range innocents {
		if i%4 == 1 && i/4 < killers {
			l.send(t, env, killer, fmt.Sprint("killer", i/4))
		}
		l.send(t, env, "tasks.mark", fmt.Sprint("i", i))
	}
	return func() bool {
		runs := l.runs(t)
		for i := range innocents {
			if runs[fmt.Sprint("i", i)] == 0 {
				return false
			}
		}
		stdout, _, err := inProcess(t, env, "queues", "celery.dead", "celery.quarantine", "-o", "json")
		if err != nil {
			return false
		}
		queues := decode[[]struct{ Messages int }](t, stdout)
		return queues[0].Messages >= killers && queues[1].Messages == 0
	}
}

// wantDead compares the dead letters, and the outcomes of those who sent them.
func wantDead(t *testing.T, env map[string]string, deliveries, killers int) {
	t.Helper()
	dead := list(t, env)
	if len(dead) != killers {
		t.Errorf("%d dead letters, want the %d killers alone", len(dead), killers)
	}
	for _, d := range dead {
		if !strings.HasPrefix(d.ID, "killer") || d.Reason != "delivery-limit" || d.Deliveries == nil || *d.Deliveries != deliveries {
			t.Errorf("dead letter = %+v, want a killer after %d deliveries", d, deliveries)
		}
		_, _, err := inProcess(t, env, "result", d.ID, "--timeout", "20")
		if err == nil || !strings.Contains(err.Error(), "WorkerLostError") {
			t.Errorf("result of %s: %v, want a WorkerLostError", d.ID, err)
		}
	}
}

func TestATaskThatKillsItsWorkerRunsNTimesAndIsADeadLetter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		killer string
		limit  int
	}{{"tasks.exit", 3}, {"tasks.kill", 2}, {"tasks.exit", 4}} {
		t.Run(fmt.Sprint(c.killer, " ", c.limit), func(t *testing.T) {
			t.Parallel()
			eachBroker(t, func(t *testing.T, env map[string]string) {
				l := ledger{filepath.Join(t.TempDir(), "ledger")}
				holds := l.crowd(t, env, c.killer, 1)
				w := supervise(t, asEnviron(t, env), holds, "-c", "4", "--dead-letters", "--delivery-limit", fmt.Sprint(c.limit))
				if got := l.runs(t)["killer0"]; got != c.limit {
					t.Errorf("the killer ran %d times, want %d", got, c.limit)
				}
				wantDead(t, env, c.limit, 1)
				if got := strings.TrimSpace(succeeds(t, env, "send", "tasks.add", "-a", "[2, 3]", "--wait", "--timeout", "20")); got != "5" {
					t.Errorf("afterwards 2 + 3 = %q, want 5", got)
				}
				w.stop()
				if got := succeeds(t, env, "queues", "celery", "-o", "json"); !strings.Contains(got, `"messages": 0`) {
					t.Errorf("something is left: %s", got)
				}
			})
		})
	}
}

func TestOfManyTasksNoneIsCondemnedForWhatTheKillersAmongThemDid(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		l := ledger{filepath.Join(t.TempDir(), "ledger")}
		const killers = 4
		holds := l.crowd(t, env, "tasks.exit", killers)
		w := supervise(t, asEnviron(t, env), holds, "-c", "4", "--dead-letters")
		wantDead(t, env, 3, killers)
		for i := range killers {
			if got := l.runs(t)[fmt.Sprint("killer", i)]; got > 3 {
				t.Errorf("killer %d ran %d times, want 3 at the most", i, got)
			}
		}
		w.stop()
	})
}

// In a batch all die together. Which of them killed shows when each runs by itself.
func TestOfABatchThatKillsItsWorkerOnlyTheKillersAreCondemned(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		l := ledger{filepath.Join(t.TempDir(), "ledger")}
		const killers, innocents = 2, 20
		for i := range innocents {
			if i%10 == 4 {
				l.send(t, env, "tasks.together", fmt.Sprint("killer", i/10))
			}
			l.send(t, env, "tasks.together", fmt.Sprint("i", i))
		}
		w := supervise(t, asEnviron(t, env), func() bool {
			stdout, _, err := inProcess(t, env, "queues", "celery.dead", "celery.quarantine", "celery", "-o", "json")
			if err != nil {
				return false
			}
			queues := decode[[]struct{ Messages int }](t, stdout)
			return queues[0].Messages >= killers && queues[1].Messages == 0 && queues[2].Messages == 0
		}, "-c", "2", "--dead-letters")
		wantDead(t, env, 3, killers)
		for i := range innocents {
			_, _, err := inProcess(t, env, "result", fmt.Sprint("i", i), "--timeout", "20")
			if err != nil {
				t.Errorf("innocent %d: %v", i, err)
			}
		}
		w.stop()
	})
}

func TestWarmShutdownsCondemnNobody(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		l := ledger{filepath.Join(t.TempDir(), "ledger")}
		tasks := 0
		more := func(n int) {
			for range n {
				l.send(t, env, "tasks.mark", fmt.Sprint("t", tasks))
				tasks++
			}
		}
		more(8)
		args := []string{"-c", "1", "--prefetch-multiplier", "8", "--dead-letters", "--delivery-limit", "2"}
		quarantined := false
		for range 8 { // each gives back what it has prefetched; with the limit of 2, once is enough to be a suspect
			ran := len(l.runs(t))
			w := startWorker(t, asEnviron(t, env), args...)
			eventually(t, "a task runs", func() bool { return len(l.runs(t)) > ran })
			w.stop()
			quarantined = quarantined || strings.Contains(w.stderr.String(), "queue=celery.quarantine")
			more(3)
		}
		w := startWorker(t, asEnviron(t, env), args...)
		eventually(t, "all tasks run", func() bool { return len(l.runs(t)) == tasks })
		w.stop()
		quarantined = quarantined || strings.Contains(w.stderr.String(), "queue=celery.quarantine")
		if !quarantined {
			t.Error("no task was ever in the quarantine: the test shows nothing")
		}
		if dead := list(t, env); len(dead) != 0 {
			t.Errorf("dead letters = %+v, want none", dead)
		}
		for name, n := range l.runs(t) {
			if n != 1 {
				t.Errorf("%s ran %d times, want 1", name, n)
			}
		}
	})
}

func TestLostConnectionsCondemnNobody(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"TASKQ_BROKER_URL": testserver.AMQPVhost(t), "TASKQ_QUEUE_TYPE": kind}
			proxy := testserver.StartProxy(t, env["TASKQ_BROKER_URL"])
			l := ledger{filepath.Join(t.TempDir(), "ledger")}
			const tasks, suspects = 40, 20
			for i := range tasks {
				l.send(t, env, "tasks.mark", fmt.Sprint("t", i))
			}
			withBroker(t, env, func(b broker.Broker) error {
				queue := broker.Queue{Name: "celery.quarantine", Type: broker.QueueType(kind)}
				if kind == "quorum" {
					queue.Arguments = broker.Table{broker.ArgDeliveryLimit: int32(math.MaxInt32)}
				}
				if err := b.Declare(t.Context(), broker.Topology{Queues: []broker.Queue{queue}}); err != nil {
					return err
				}
				for i := range suspects {
					body, err := json.Marshal([]any{[]string{l.file, fmt.Sprint("s", i)}, struct{}{}, struct{}{}})
					if err != nil {
						return err
					}
					d := broker.NewDelivery(broker.Message{
						ContentType: "application/json", ContentEncoding: "utf-8", Body: body,
						Headers: broker.Table{"id": fmt.Sprint("s", i), "task": "tasks.mark"},
					}, nil)
					stamp := deadletter.Stamp{Deaths: 1, Origin: deadletter.Origin{Queue: "celery", RoutingKey: "celery"}}
					if err := b.Publish(t.Context(), broker.Address{RoutingKey: queue.Name}, stamp.Write(d, time.Now())); err != nil {
						return err
					}
				}
				return nil
			})
			w := start(t, asEnviron(t, map[string]string{"TASKQ_BROKER_URL": proxy.URL, "TASKQ_QUEUE_TYPE": kind}),
				"worker", "-c", "2", "--dead-letters", "--delivery-limit", "2")
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(w.stderr)
				}
			})
			for cuts, ran := 0, 0; ran < tasks+suspects; ran = len(l.runs(t)) {
				eventually(t, "more tasks run", func() bool { return len(l.runs(t)) > ran })
				if cuts++; cuts <= 5 { // the pauses between connections grow
					proxy.Cut()
				}
			}
			if dead := list(t, env); len(dead) != 0 {
				t.Errorf("dead letters = %+v, want none\n%s", dead, w.stderr)
			}
			w.stop()
		})
	}
}
