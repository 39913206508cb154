//go:build !windows

package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// argsOf writes the arguments of a task of marks.
func argsOf(t *testing.T, file, name string) string {
	t.Helper()
	args, err := json.Marshal([]string{file, name})
	if err != nil {
		t.Fatal(err)
	}
	return string(args)
}

// A message that was acknowledged early does not come again: its place is free once its time is over.
func TestThePlaceOfAKilledWorkerIsFreeAfterItsTime(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		env["TASKQ_TEST_LIMITED"] = "1"
		file := filepath.Join(t.TempDir(), "marks")
		succeeds(t, env, "send", "tasks.placed", "--args", argsOf(t, file, "first"))
		first := start(t, asEnviron(t, env), "worker", "-l", "info")
		first.stderr.waitFor(t, "began")
		first.signal(syscall.SIGKILL)
		first.wait()
		killed := time.Now()
		succeeds(t, env, "send", "tasks.placed", "--args", argsOf(t, file, "second"))
		second := start(t, asEnviron(t, env), "worker", "-l", "info")
		second.stderr.waitFor(t, "began")
		if took := time.Since(killed); took < placeTime/3 {
			t.Errorf("the place was taken %s after its worker was killed", took)
		}
		second.stop()
	})
}

// A message that comes again finds its key to be its own, however long that is still to be held; nobody else gets it.
func TestACallWhoseWorkerIsKilledKeepsItsKeyAndRunsAgain(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, env map[string]string) {
		env["TASKQ_TEST_LIMITED"] = "1"
		l := ledger{filepath.Join(t.TempDir(), "ledger")}
		send := func(more ...string) (status int, errs string) { // by a program that knows the task
			p := start(t, asEnviron(t, env), append([]string{"send", "tasks.single", "--args", argsOf(t, l.file, "single")}, more...)...)
			status = p.wait()
			return status, p.stderr.String()
		}
		if status, errs := send("--task-id", "single"); status != 0 {
			t.Fatal(errs)
		}
		for range 2 {
			p := start(t, asEnviron(t, env), "worker", "-l", "info")
			p.stderr.waitFor(t, "began")
			p.signal(syscall.SIGKILL)
			p.wait()
			if status, errs := send(); status == 0 || !strings.Contains(errs, "duplicate of single") {
				t.Errorf("another call: %d %s", status, errs)
			}
		}
		env["TASKQ_TEST_BRIEF"] = "1"
		p := startWorker(t, asEnviron(t, env))
		deadline := time.After(patience)
		for len(l.runs(t)) == 0 {
			select {
			case <-deadline:
				t.Fatal("the call does not run again")
			case <-time.After(20 * time.Millisecond):
			}
		}
		p.stderr.waitFor(t, "succeeded")
		if status, errs := send(); status != 0 {
			t.Errorf("once it has ended: %s", errs)
		}
		p.stop()
	})
}
