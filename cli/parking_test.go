//go:build !windows

package cli_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// TestAWorkerThatIsKilledWhileItParksLosesNothing: the calls have an ETA in their headers and lie in the queue itself, where Celery's
// clients put them.
func TestAWorkerThatIsKilledWhileItParksLosesNothing(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		const n = 1500
		l := ledger{filepath.Join(t.TempDir(), "ledger")}
		env["TASKQ_WORKER_CONCURRENCY"] = "20"
		succeeds(t, env, "send", "tasks.mark", "--task-id", "first", "--args", fmt.Sprintf(`[%q, "first"]`, l.file)) // declares the queue
		due := time.Now().Add(12 * time.Second)
		withBroker(t, env, func(b broker.Broker) error {
			var batch []broker.Posting
			for i := range n {
				args, err := json.Marshal(l.file)
				if err != nil {
					return err
				}
				msg, err := wire.Encode(wire.Outgoing{Now: time.Now(), Origin: "test", Signature: task.Signature{
					Task: "tasks.mark", Args: []any{json.RawMessage(args), fmt.Sprint("t", i)},
					CallOptions: task.CallOptions{ID: fmt.Sprint("t", i), ETA: due},
				}})
				if err != nil {
					return err
				}
				batch = append(batch, broker.Posting{To: broker.Address{RoutingKey: "celery"}, Message: msg})
			}
			for _, err := range b.(broker.BatchPublisher).PublishBatch(t.Context(), batch) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		for range 3 {
			p := start(t, asEnviron(t, env), "worker", "-l", "debug")
			p.stderr.waitFor(t, "parked")
			p.signal(syscall.SIGKILL)
			p.wait()
		}
		w := startWorker(t, asEnviron(t, env))
		deadline := time.After(3 * patience)
		for ran := 0; ran < n+1; {
			if ran = len(l.runs(t)); ran > 1 && time.Now().Before(due) {
				t.Fatalf("%d tasks ran before their time", ran-1)
			}
			select {
			case <-deadline:
				t.Fatalf("%d of %d tasks have run", ran, n+1)
			case <-time.After(100 * time.Millisecond):
			}
		}
		w.stop()
	})
}
