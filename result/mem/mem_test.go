package mem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPassesTheResultSuite(t *testing.T) {
	t.Parallel()
	resulttest.Run(t, resulttest.Harness{
		Open:     func(*testing.T) result.Backend { return mem.New(mem.Config{}) },
		Expiring: func(_ *testing.T, d time.Duration) result.Backend { return mem.New(mem.Config{Expires: d}) },
	})
}

func TestKeepsOutcomesForADay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expires, after time.Duration
		want           task.State
	}{
		{0, 24*time.Hour - 1, task.Success},
		{0, 24 * time.Hour, task.Pending},
		{time.Minute, time.Minute, task.Pending},
		{-1, 1000 * time.Hour, task.Success},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := mem.New(mem.Config{Expires: c.expires})
			if err := b.Store(t.Context(), task.Meta{ID: "a", State: task.Success, Result: codec.Raw("1")}); err != nil {
				t.Fatal(err)
			}
			<-time.After(c.after)
			meta, err := b.Get(t.Context(), "a")
			if err != nil || meta.State != c.want {
				t.Errorf("kept for %v: state after %v = %s, %v, want %s", c.expires, c.after, meta.State, err, c.want)
			}
		})
	}
}
