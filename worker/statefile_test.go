package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestRevokesSurviveARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		opts := worker.Options{StateDB: path, RevokeExpires: time.Hour}
		run := func(do func(*house)) {
			h := start(t, plan{opts: opts, tasks: []task.Definition{counted(&runs)}})
			synctest.Wait()
			do(h)
			if err := h.stop(); err != nil {
				t.Error(err)
			}
		}
		run(func(h *house) {
			h.revoke("1")
			h.ask(control.RevokeByStamps(map[string]any{"tenant": "acme"}, task.Revocation{}))
		})
		time.Sleep(30 * time.Minute)
		run(func(h *house) {
			h.wantRevoked(h.send(counted(&runs).S(none{}, task.ID("1"))), "revoked")
			h.wantRevoked(h.send(counted(&runs).S(none{}, task.Stamp("tenant", "acme"))), "revoked")
		})
		if runs.Load() != 0 {
			t.Errorf("runs = %d", runs.Load())
		}
		time.Sleep(31 * time.Minute)
		run(func(h *house) { wantValue(t, h.outcome(h.send(counted(&runs).S(none{}, task.ID("1")))), 1) })
	})
}

// A crash loses what was revoked within the last second.
func TestRevokesAreSavedSoon(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{StateDB: path}, tasks: []task.Definition{add()}})
		synctest.Wait()
		h.revoke("some-id")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "some-id") {
			t.Errorf("state = %s, %v", text, err)
		}
	})
}

func TestWorkersThatShareAStateFileLoseNothingOfEachOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		for _, id := range []string{"1", "2"} {
			h := start(t, plan{opts: worker.Options{StateDB: path, Hostname: "w" + id + "@host"}, tasks: []task.Definition{add()}})
			synctest.Wait()
			h.revoke(id)
			defer h.stop()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{StateDB: path, Hostname: "w@host"}, tasks: []task.Definition{add()}})
		synctest.Wait()
		if got := h.ask(control.Request{Method: "revoked"}); len(got) != 1 || !strings.Contains(got[0], `"1"`) || !strings.Contains(got[0], `"2"`) {
			t.Errorf("revoked = %q", got)
		}
	})
}

func TestAForeignStateFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "celery.db")
	if err := os.WriteFile(path, []byte("\x13\x57\x9a\xce shelve"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := worker.New(worker.Config{
		Options: worker.Options{Queues: []string{queue}, StateDB: path}, Broker: mem.NewServer().Open(), Registry: &task.Registry{},
	})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--statedb") {
		t.Errorf("err = %v", err)
	}
}

func TestTheRevokedAreBoundedAndExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{RevokesMax: 3}, tasks: []task.Definition{add()}})
		synctest.Wait()
		for i := range 5 {
			h.revoke(fmt.Sprint(i))
			time.Sleep(time.Hour)
		}
		if got := h.ask(control.Request{Method: "revoked"}); !strings.HasSuffix(got[0], `["3","4"]`) { // "2" is over
			t.Errorf("revoked = %q", got)
		}
		for i := range 5 {
			h.revoke(fmt.Sprint(i))
		}
		if got := h.ask(control.Request{Method: "revoked"}); !strings.HasSuffix(got[0], `["2","3","4"]`) {
			t.Errorf("revoked = %q", got)
		}
	})
}
