package mem_test

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/resulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	var stores sync.Map // by test: there is no other process, so a test's Backends are one
	resulttest.Run(t, resulttest.Harness{
		Open: func(t *testing.T) result.Backend {
			t.Helper()
			b, _ := stores.LoadOrStore(t.Name(), mem.New(mem.Config{}))
			return b.(result.Backend)
		},
		Expiring: func(_ *testing.T, d time.Duration) result.Backend { return mem.New(mem.Config{Expires: d}) },
	})
}

func TestATaskOfAnotherHeaderDoesNotCompleteAChord(t *testing.T) {
	t.Parallel()
	resulttest.Strangers(t, mem.New(mem.Config{}))
}
