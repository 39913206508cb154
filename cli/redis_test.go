//go:build !windows

package cli_test

import (
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

func TestResultsInRedisAreThereForEveryProcess(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	env := home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t), "CELERY_RESULT_BACKEND="+address, "TASKQ_RESULT_EXPIRES=90",
		"TASKQ_RESULT_BACKEND_TRANSPORT_OPTIONS_GLOBAL_KEYPREFIX=shop")
	w := startWorker(t, env, "-P", "threads")
	id := must(t, env, "send", "tasks.add", "--args", "[2, 3]")
	if got := must(t, env, "result", id, "--timeout", "20"); got != "5" {
		t.Errorf("2 + 3 = %q, want 5", got)
	}
	if got, err := instance.RedisDo(t.Context(), address, "TTL", "shop_celery-task-meta-"+id); err != nil || got != "90" && got != "89" {
		t.Errorf("the outcome is kept for %s s, %v; want 90", got, err)
	}
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status after SIGTERM = %d, want 0\n%s", code, w.stderr)
	}
	if u := parse(t, address); !strings.Contains(w.stdout.String(), ".> results:     redis://:**@"+u.Host) {
		t.Errorf("banner names no Redis:\n%s", w.stdout)
	}
}

func TestAResultStoreThatRefusesOrIsAwayIsNamed(t *testing.T) {
	t.Parallel()
	refused, away := parse(t, testserver.Redis(t)), parse(t, testserver.Redis(t))
	refused.User = url.UserPassword("", "hush")
	away.User, away.Host = url.UserPassword("", "hush"), "127.0.0.1:1"
	for _, tt := range []struct {
		url  *url.URL
		code int
		want string
	}{{refused, cli.Misconfigured, "correct user and password"}, {away, cli.Unavailable, "cannot connect to 127.0.0.1:1"}} {
		_, stderr, code := run(t, home(t, "TASKQ_RESULT_BACKEND="+tt.url.String()), "result", "some-id", "--timeout", "5")
		if code != tt.code || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "TASKQ_RESULT_BACKEND") || strings.Contains(stderr, "hush") {
			t.Errorf("exit status %d, want %d and %q without the password:\n%s", code, tt.code, tt.want, stderr)
		}
	}
}
