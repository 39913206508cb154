package worker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/internal/wire"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/task"
)

// A call that no limit store can count, of an id that is too long say, is no reason to believe that the store is away.
func TestACallThatCannotBeCountedFailsAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := task.New("tasks.limited", func(context.Context, none) (int, error) { return 1, nil },
			task.MaxConcurrent(1, task.ClusterWide()))
		h := start(t, plan{limits: limitmem.New(), tasks: []task.Definition{limited}})
		bad := limited.S(none{})
		bad.ID = "short"
		msg, err := wire.Encode(wire.Outgoing{Signature: bad, Now: time.Now(), Origin: "test"})
		if err != nil {
			t.Fatal(err)
		}
		bad.ID = strings.Repeat("x", 5000)
		msg.Headers["id"] = bad.ID
		h.publish(msg)
		if m := h.outcome(bad.ID); m.State != task.Failure {
			t.Errorf("outcome = %s, want FAILURE", m.State)
		}
		began := time.Now()
		wantValue(t, h.outcome(h.send(limited.S(none{}))), 1)
		if took := time.Since(began); took != 0 {
			t.Errorf("the next call started after %s", took)
		}
	})
}
