package taskqtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/taskqtest"
)

func TestWorkflowsRunInMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		double := task.New("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		total := task.New("total", func(_ context.Context, list []int) (int, error) {
			sum := 0
			for _, n := range list {
				sum += n
			}
			return sum, nil
		})
		app := taskqtest.New(t, taskq.Config{}, double, total)
		next := task.Signature{Task: "double", CallOptions: task.CallOptions{Countdown: time.Hour}}
		header := []task.Signature{double.S(1), canvas.Chain(double.S(2), next), double.S(3)}
		r, err := app.Send(t.Context(), canvas.Chord(header, task.Signature{Task: "total"}))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(app.Sent()); n != 3 {
			t.Errorf("%d calls were sent at once, want the header's three", n)
		}
		taskqtest.RequireSent(t, app, double, 3)
		taskqtest.RequireNotSent(t, app, total)
		app.Run(t)
		if got, err := r.Get(t.Context()); err != nil || fmt.Sprint(got) != "16" {
			t.Errorf("the chord comes to %v, %v; want 16", got, err)
		}
		if call := taskqtest.RequireSent(t, app, total, []int{2, 8, 6}); call.ID != r.ID() {
			t.Errorf("the body is %s, its result %s", call.ID, r.ID())
		}
		taskqtest.RequireSent(t, app, double, 4) // the chain's second step
	})
}
