//go:build !windows

package cli_test

import (
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestWorkerAndSenderMeetOnRabbitMQ(t *testing.T) {
	t.Parallel()
	env := home(t, "CELERY_BROKER_URL="+testserver.AMQPVhost(t))
	if got := must(t, env, "queues"); !strings.Contains(got, "does not exist yet") {
		t.Errorf("queues = %q, want celery to be missing", got)
	}
	must(t, env, "send", "tasks.echo", "-a", `["lost"]`)
	if got := must(t, env, "purge", "--force"); got != "Purged 1 message from 1 known task queue." {
		t.Errorf("purge prints %q", got)
	}
	w := startWorker(t, env, "-P", "threads")
	if got := must(t, env, "send", "tasks.add", "--args", "[2, 3]", "--wait", "--timeout", "20"); got != "5" {
		t.Errorf("2 + 3 = %q, want 5", got)
	}
	stdout, stderr, code := run(t, env, "send", "tasks.boom", "--wait", "--timeout", "20", "-o", "json")
	if code != cli.Failure || !strings.Contains(stderr, "KeyError: x") || !strings.Contains(stdout, `"state": "FAILURE"`) {
		t.Errorf("a failure: exit status %d, want 1\nstdout: %s\nstderr: %s", code, stdout, stderr)
	}
	if got := must(t, env, "queues"); !regexp.MustCompile(`(?m)^celery +0 +1$`).MatchString(got) {
		t.Errorf("queues = %q, want no message and one consumer", got)
	}
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status after SIGTERM = %d, want 0\n%s", code, w.stderr)
	}
	if !strings.Contains(w.stdout.String(), ".> results:     rpc://\n") {
		t.Errorf("banner names no rpc:\n%s", w.stdout)
	}
}

func TestRabbitMQsRefusalsAreBadConfiguration(t *testing.T) {
	t.Parallel()
	address := testserver.AMQPVhost(t)
	password, vhost, other := parse(t, address), parse(t, address), parse(t, address)
	password.User = url.UserPassword(password.User.Username(), "hush")
	vhost.Path, vhost.RawPath = "/no-such-vhost", ""
	other.User = url.UserPassword("nobody", "hush")
	for name, tt := range map[string]struct {
		url  *url.URL
		want string
	}{
		"password": {password, "correct user and password"}, "vhost": {vhost, "no-such-vhost"}, "user": {other, "nobody"},
	} {
		for _, command := range []string{"worker", "send tasks.add", "queues"} {
			t.Run(name+" of "+command, func(t *testing.T) {
				t.Parallel()
				stdout, stderr, code := run(t, home(t, "TASKQ_BROKER_URL="+tt.url.String()), strings.Fields(command)...)
				if code != cli.Misconfigured {
					t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
				}
				if !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "TASKQ_BROKER_URL") {
					t.Errorf("stderr = %q, want it to name the fault (%s) and the variable", stderr, tt.want)
				}
				if strings.Contains(stdout+stderr, "hush") {
					t.Errorf("the password is shown:\n%s%s", stdout, stderr)
				}
			})
		}
	}
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the test's broker URL is no URL")
	}
	return u
}
