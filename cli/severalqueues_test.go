//go:build !windows

package cli_test

import (
	"strings"
	"testing"
)

func TestAWorkerTakesFromQueuesWithWeightsAndFromItsOwn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		flags  string
		queues []string
	}{
		"weights":  {"-Q high:5,low:1,v:2:1", []string{"high", "low", "v:2"}},
		"strict":   {"-Q high,low --queue-order strict", []string{"high", "low"}},
		"priority": {"-Q high --consumer-priority -3", []string{"high"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := home(t)
			w := startWorker(t, env, append([]string{"-P", "threads", "-n", "w1@h", "--direct"}, strings.Fields(tt.flags)...)...)
			for _, queue := range append(tt.queues, "w1@h.dq2") {
				if got := must(t, env, "send", "tasks.add", "--args", "[2, 3]", "--queue", queue, "--wait", "--timeout", "20"); got != "5" {
					t.Errorf("through %s: 2 + 3 = %q", queue, got)
				}
				if !strings.Contains(w.stdout.String(), ".> "+queue+" ") {
					t.Errorf("the banner does not name %s:\n%s", queue, w.stdout)
				}
			}
			w.stop()
		})
	}
}
