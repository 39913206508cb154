package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-399731e2/taskq/pool"
)

// Everything at once: whatever jobs do, no connection is ever used by two, used after Close, or closed twice (server checks), and
// none is left.
func TestNothingIsSharedUnderStress(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.MaxUses = 20
		n := sizeOf(t.kind, 4)
		p := newPool(t, t.kind, pool.Config{Size: n, Hooks: []pool.Hook{r}, MaxStuck: 1000})
		var ran atomic.Int64
		var stragglers, senders sync.WaitGroup
		for range 3 {
			senders.Go(func() {
				for range 400 {
					if err := p.Submit(t.Context(), func(ctx context.Context) {
						ran.Add(1)
						misbehave(ctx, t, srv, r, &stragglers)
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		senders.Wait()
		eventually(t, "all jobs done, nothing stuck", func() bool { st := p.Stats(); return st.Done == 1200 && st.Stuck == 0 })
		stragglers.Wait()
		stop(t, p)
		if ran.Load() != 1200 || srv.live() != 0 {
			t.Errorf("%d of 1200 jobs ran, %d connections left", ran.Load(), srv.live())
		}
	})
}

// misbehave does one of the things that jobs do.
func misbehave(ctx context.Context, tb testing.TB, srv *server, r *pool.Resource[*conn], stragglers *sync.WaitGroup) {
	tb.Helper()
	use := func() {
		err := r.Use(ctx, func(c *conn) error { runtime.Gosched(); return srv.query(c) })
		if err != nil && !errors.Is(err, pool.ErrForeignSlot) && !errors.Is(err, pool.ErrConcurrentUse) {
			tb.Error(err)
		}
	}
	use()
	switch rand.N(12) {
	case 0, 1, 2:
		for range 3 {
			stragglers.Go(use)
		}
	case 3:
		stragglers.Go(func() { r.Failed(ctx, errors.New("reset")); use() })
	case 4:
		stragglers.Go(func() { _ = r.Discard(ctx); use() })
	case 5:
		_ = r.Use(ctx, func(c *conn) error { c.dead.Store(true); c.broken.Store(true); return nil })
	case 6:
		s := pool.SlotFrom(ctx)
		stragglers.Go(func() { s.Abandon() })
		use()
	case 7:
		_ = r.Use(ctx, func(*conn) error { panic("boom") })
	case 8:
		runtime.Goexit()
	}
}
