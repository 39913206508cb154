//go:build !windows

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
)

func TestRevokePrintsWhatTheWorkersAnswer(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env, "-n", "w1@box", "-c", "2")
	w.stderr.waitFor(t, "mingle: all alone")
	if got := must(t, env, "revoke", "a", "b"); got != "->  w1@box: OK\n        tasks {'a', 'b'} flagged as revoked" {
		t.Errorf("revoke = %q", got)
	}
	w.stderr.waitFor(t, "] Tasks flagged as revoked: a, b\n")
	must(t, env, "send", "tasks.add", "--args", "[1, 2]", "--task-id", "a")
	w.stderr.waitFor(t, "] Discarding revoked task: tasks.add[a]\n")
	result := start(t, env, "result", "a", "--timeout", "20")
	if code := result.wait(); code != cli.Failure || !strings.Contains(result.stderr.String(), "REVOKED") {
		t.Errorf("exit status %d\n%s", code, result.stderr)
	}
	if got := must(t, env, "revoke", "--stamp", "tenant=acme", "--stamp", "tenant=x", "-d", "w1@box", "--timeout", "20", "--json"); strings.Join(strings.Fields(got), "") !=
		`{"w1@box":{"ok":"headers{'tenant':['acme','x']}flaggedasrevoked,butnotterminated"}}` {
		t.Errorf("revoke --stamp = %q", got)
	}
	must(t, env, "send", "tasks.add", "--args", "[1, 2]", "--task-id", "s", "--stamp", "tenant=x")
	w.stderr.waitFor(t, "] Discarding revoked task: tasks.add[s] (revoked by header: {'tenant': 'x'})\n")

	path := filepath.Join(t.TempDir(), "file")
	must(t, env, "send", "tasks.until", "-k", `{"path": "`+path+`"}`, "--task-id", "u")
	w.stderr.waitFor(t, "Task tasks.until[u] received")
	if got := must(t, env, "revoke", "u", "--terminate", "--signal", "SIGKILL", "-d", "w1@box"); !strings.HasSuffix(got, "terminate: u") {
		t.Errorf("revoke --terminate = %q", got)
	}
	w.stderr.waitFor(t, "] Terminating u (9)\n")
	if got := must(t, env, "send", "tasks.add", "--args", "[2, 3]", "--wait", "--timeout", "20"); got != "5" {
		t.Errorf("2 + 3 = %q", got)
	}

	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d\n%s", code, w.stderr)
	}
	again := startWorker(t, env, "-n", "w1@box") // the embedded store remembers
	must(t, env, "send", "tasks.add", "--args", "[1, 2]", "--task-id", "b")
	again.stderr.waitFor(t, "] Discarding revoked task: tasks.add[b]\n")
}

func TestRevokeSaysWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	_, _, err := inProcess(t, env, "revoke", "a")
	if cli.ExitCode(err) != cli.Unavailable || !strings.Contains(err.Error(), "no nodes replied within time constraint") {
		t.Errorf("exit status %d, err = %v", cli.ExitCode(err), err)
	}
}

func TestRevokeRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	for want, args := range map[string][]string{
		"by a stamp":      {"revoke"},
		"not by both":     {"revoke", "a", "--stamp", "b=c"},
		"NAME=text":       {"revoke", "--stamp", "b"},
		"unknown signal":  {"revoke", "a", "--signal", "SIGFOO"},
		"--timeout":       {"revoke", "a", "--timeout", "soon"},
		"use a name such": {"revoke", "a", "--signal", "9"},
	} {
		_, _, err := inProcess(t, env, args...)
		if cli.ExitCode(err) != cli.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: exit status %d, err = %v", args, cli.ExitCode(err), err)
		}
	}
}

func TestAStateFileOfPythonsIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "celery.db")
	if err := os.WriteFile(path, []byte("\x13\x57\x9a\xce"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	_, _, err := inProcess(t, env, "worker", "-S", path)
	if cli.ExitCode(err) != cli.Misconfigured || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--statedb") {
		t.Errorf("err = %v", err)
	}
}
