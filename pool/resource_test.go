package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/pool"
)

// number runs a job that uses the connection and returns which one it got.
func number(tb testing.TB, p pool.Pool, r *pool.Resource[*conn]) int {
	tb.Helper()
	n := 0
	run(tb, p, func(ctx context.Context) {
		if err := r.Use(ctx, func(c *conn) error { n = c.number; return nil }); err != nil {
			tb.Errorf("use: %v", err)
		}
	})
	return n
}

func TestEverySlotKeepsItsOwnValue(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		n := sizeOf(t.kind, 3)
		p := newPool(t, t.kind, pool.Config{Size: n, Hooks: []pool.Hook{r}})
		var mu sync.Mutex
		bySlot := map[int]int{}
		for range 10 {
			release := make(chan struct{})
			var jobs []<-chan struct{}
			for range n {
				jobs = append(jobs, start(t, p, func(ctx context.Context) {
					<-release
					c, err := r.Get(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					if c.opener != goroutine() {
						t.Errorf("opened on goroutine %s, used on %s", c.opener, goroutine())
					}
					mu.Lock()
					defer mu.Unlock()
					id := pool.SlotFrom(ctx).ID()
					if had := bySlot[id]; had != 0 && had != c.number {
						t.Errorf("slot %d had connection %d, now %d", id, had, c.number)
					}
					bySlot[id] = c.number
				}))
			}
			close(release)
			for _, done := range jobs {
				wait(t, done)
			}
		}
		stop(t, p)
		if srv.opened() != n || srv.live() != 0 {
			t.Errorf("%d connections opened, %d left, want %d and 0", srv.opened(), srv.live(), n)
		}
		for _, c := range srv.all {
			if c.closedBy.Load() != c.opener {
				t.Errorf("connection %d: opened on goroutine %s, closed on %v", c.number, c.opener, c.closedBy.Load())
			}
		}
	})
}

func TestAnUnusableValueIsReplacedAfterTheJob(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		run(t, p, func(ctx context.Context) {
			c, err := r.Get(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			c.broken.Store(true)
		})
		eventually(t, "reopened before the next job", func() bool { return srv.opened() == 2 && p.Stats().Idle == 1 })
		if got := number(t, p, r); got != 2 {
			t.Errorf("the next job got connection %d, want 2", got)
		}
		if srv.peak() != 1 {
			t.Errorf("%d connections at once for one slot", srv.peak())
		}
	})
}

func TestAFailedValueIsPingedOnce(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.Suspect = func(err error) bool { return err.Error() == "reset by peer" }
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		report := func(err error) {
			run(t, p, func(ctx context.Context) {
				if got := r.Use(ctx, func(*conn) error { return err }); !errors.Is(got, err) {
					t.Errorf("Use = %v, want the function's own error", got)
				}
			})
			eventually(t, "slot idle", func() bool { return p.Stats().Idle == 1 })
		}
		report(errors.New("duplicate key"))
		if srv.pinged() != 0 {
			t.Errorf("%d pings after an ordinary error, want 0", srv.pinged())
		}
		report(errors.New("reset by peer"))
		if got := number(t, p, r); got != 1 || srv.pinged() != 1 {
			t.Errorf("connection %d after %d pings, want 1 after 1", got, srv.pinged())
		}
		srv.all[0].dead.Store(true)
		report(errors.New("reset by peer"))
		if got := number(t, p, r); got != 2 || srv.pinged() != 2 {
			t.Errorf("connection %d after %d pings, want a new one after 2", got, srv.pinged())
		}
	})
}

func TestFailedWithoutPingReopens(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	r.Ping = nil
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	run(t, p, func(ctx context.Context) {
		r.Failed(ctx, nil)
		if c, err := r.Get(ctx); err != nil || c.number != 1 {
			t.Errorf("Get = %v, %v, want connection 1: nothing failed", c, err)
		}
		r.Failed(ctx, errors.New("broken pipe"))
		if c, err := r.Get(ctx); err != nil || c.number != 2 {
			t.Errorf("Get = %v, %v, want connection 2 in the same job", c, err)
		}
	})
	r.Failed(t.Context(), errors.New("nobody's")) // no slot: no effect, no panic
	if got := number(t, p, r); got != 2 {
		t.Errorf("the next job got connection %d, want 2", got)
	}
}

func TestReopeningDuringAJobCanFail(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	run(t, p, func(ctx context.Context) {
		srv.reset(errors.New("no room"))
		srv.down.Store(true)
		r.Failed(ctx, errors.New("broken pipe"))
		err := r.Use(ctx, func(*conn) error { t.Error("called"); return nil })
		if err == nil || err.Error() != `pool: open resource "database": no room` {
			t.Errorf("Use = %v, want the error of Open", err)
		}
		srv.down.Store(false)
		if err := r.Use(ctx, srv.query); err != nil {
			t.Errorf("Use = %v after the server came back", err)
		}
	})
}

func TestMaxUsesCountsJobs(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	r.MaxUses = 3
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	var got []int
	for range 7 {
		run(t, p, func(context.Context) {}) // does not use it
		run(t, p, func(ctx context.Context) {
			for range 2 {
				if err := r.Use(ctx, srv.query); err != nil {
					t.Error(err)
				}
			}
			c, err := r.Get(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			got = append(got, c.number)
		})
	}
	if fmt.Sprint(got) != "[1 1 1 2 2 2 3]" {
		t.Errorf("connections of the jobs = %v, want [1 1 1 2 2 2 3]", got)
	}
}

func TestALazyValueIsOpenedAtItsFirstUse(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		srv.down.Store(true)
		r := srv.resource()
		r.Lazy = true
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		run(t, p, func(ctx context.Context) {
			if _, err := r.Get(ctx); err == nil {
				t.Error("Get gave a connection while the server was down")
			}
			srv.down.Store(false)
		})
		run(t, p, func(context.Context) {})
		if srv.opened() != 0 {
			t.Errorf("%d opened without a use", srv.opened())
		}
		if got := number(t, p, r); got != 1 {
			t.Errorf("got connection %d, want 1", got)
		}
		if got := number(t, p, r); got != 1 {
			t.Errorf("the next job got connection %d, want 1", got)
		}
		stop(t, p)
		if srv.live() != 0 {
			t.Errorf("%d connections left", srv.live())
		}
	})
}

func TestDiscardClosesAndTheNextUseOpens(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	run(t, p, func(ctx context.Context) {
		for range 2 { // closing what is closed is no error
			if err := r.Discard(ctx); err != nil {
				t.Error(err)
			}
		}
		if srv.live() != 0 {
			t.Error("it is still open")
		}
		if c, err := r.Get(ctx); err != nil || c.number != 2 {
			t.Errorf("Get = %v, %v, want connection 2", c, err)
		}
		if err := r.Discard(ctx); err != nil {
			t.Error(err)
		}
	})
	if got := number(t, p, r); got != 3 {
		t.Errorf("the next job got connection %d, want 3", got)
	}
}

func TestAPanicInsideUseMakesTheValueSuspect(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	run(t, p, func(ctx context.Context) {
		_ = r.Use(ctx, func(*conn) error { panic("in the middle of a query") })
	})
	if got := number(t, p, r); got != 1 || srv.pinged() != 1 {
		t.Errorf("connection %d after %d pings, want 1 after 1", got, srv.pinged())
	}
}

func TestAResourceOutsideOfItsPool(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r, other := srv.resource(), srv.resource()
	if _, err := r.Get(t.Context()); !errors.Is(err, pool.ErrNoSlot) {
		t.Errorf("Get without a slot = %v, want ErrNoSlot", err)
	}
	if err := r.Discard(t.Context()); !errors.Is(err, pool.ErrNoSlot) {
		t.Errorf("Discard without a slot = %v, want ErrNoSlot", err)
	}
	if _, err := r.Borrow(t.Context()); !errors.Is(err, pool.ErrNoSlot) {
		t.Errorf("Borrow without a slot = %v, want ErrNoSlot", err)
	}
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	run(t, p, func(ctx context.Context) {
		if err := other.Use(ctx, srv.query); !errors.Is(err, pool.ErrNotHooked) {
			t.Errorf("Use of another resource = %v, want ErrNotHooked", err)
		}
		if _, err := other.Borrow(ctx); !errors.Is(err, pool.ErrNotHooked) {
			t.Errorf("Borrow of another resource = %v, want ErrNotHooked", err)
		}
		other.Failed(ctx, errors.New("x"))
	})
	if pool.SlotFrom(t.Context()) != nil {
		t.Error("a slot out of nowhere")
	}
}
