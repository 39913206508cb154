package worker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// The answers are Celery's (celery/worker/control.py, rate_limit and time_limit).
func TestLimitsAreChangedByRemoteControl(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{Hostname: "w1@host"}, tasks: []task.Definition{add()}})
		synctest.Wait() // it listens
		for _, c := range []struct {
			method string
			args   map[string]any
			want   string
		}{
			{"rate_limit", map[string]any{"task_name": "tasks.add", "rate_limit": "10/m"}, `{"ok":"new rate limit set successfully"}`},
			{"rate_limit", map[string]any{"task_name": "tasks.add", "rate_limit": 0.5}, `{"ok":"new rate limit set successfully"}`},
			{"rate_limit", map[string]any{"task_name": "tasks.add", "rate_limit": 0}, `{"ok":"rate limit disabled successfully"}`},
			{"rate_limit", map[string]any{"task_name": "tasks.add", "rate_limit": nil}, `{"ok":"rate limit disabled successfully"}`},
			{"rate_limit", map[string]any{"task_name": "tasks.add", "rate_limit": ""}, `{"ok":"rate limit disabled successfully"}`},
			{"rate_limit", map[string]any{"task_name": "no.such", "rate_limit": "1/s"}, `{"error":"unknown task"}`},
			{
				"rate_limit",
				map[string]any{"task_name": "no.such", "rate_limit": "often"},
				`{"error":"Invalid rate limit string: ValueError(\"could not convert string to float: 'often'\")"}`,
			},
			{"rate_limit", map[string]any{"task_name": "tasks.add"}, "missing 1 required positional argument: 'rate_limit'"},
			{"time_limit", map[string]any{"task_name": "tasks.add", "soft": 60, "hard": 120.5}, `{"ok":"time limits set successfully"}`},
			{"time_limit", map[string]any{"task_name": "tasks.add", "soft": nil}, `{"ok":"time limits set successfully"}`},
			{"time_limit", map[string]any{"task_name": "no.such", "hard": 1}, `{"error":"unknown task"}`},
			{"time_limit", map[string]any{"task_name": "tasks.add", "hard": -1}, "negative"},
			{"time_limit", map[string]any{"task_name": "tasks.add", "hard": 1e300}, "less than"},
			{"time_limit", map[string]any{"task_name": "tasks.add", "hard": "long"}, "TypeError"},
		} {
			got := h.ask(control.Request{Method: c.method, Arguments: c.args})
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("%s %v: %s, want %s", c.method, c.args, got, c.want)
			}
		}
	})
}

func TestARateThatIsChangedByRemoteControlHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		plain := work(&s)
		h := start(t, plan{tasks: []task.Definition{plain}})
		synctest.Wait() // it listens
		h.ask(control.Request{Method: "rate_limit", Arguments: map[string]any{"task_name": "tasks.work", "rate_limit": "1/s"}})
		for range 20 {
			h.send(plain.S(""))
		}
		time.Sleep(5*time.Second + 500*time.Millisecond)
		wantRate(t, s.of(""), time.Second, 1)
		if got := len(s.of("")); got != 6 {
			t.Errorf("%d starts in 5.5 s, want 6", got)
		}
	})
}
