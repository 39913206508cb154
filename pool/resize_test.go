package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-399731e2/taskq/pool"
)

// hold occupies n slots; the function returned lets them go.
func hold(tb testing.TB, p pool.Pool, n int) (release func()) {
	tb.Helper()
	gate, running := make(chan struct{}), make(chan struct{})
	var jobs []<-chan struct{}
	for range n {
		jobs = append(jobs, start(tb, p, func(context.Context) { running <- struct{}{}; <-gate }))
		<-running
	}
	return func() {
		close(gate)
		for _, done := range jobs {
			wait(tb, done)
		}
	}
}

func TestShrinkingEndsIdleSlotsFirstAndBusyOnesAfterTheirJob(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Threads, pool.Goroutines} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := &server{tb: t}
				p := newPool(t, kind, pool.Config{Size: 4, Hooks: []pool.Hook{srv.resource()}})
				release := hold(t, p, 2)
				resize(t, p, 3)
				if st := p.Stats(); st.Busy != 2 || st.Idle != 1 || srv.live() != 3 {
					t.Errorf("after 3: %+v with %d connections, want 2 busy and 1 idle", st, srv.live())
				}
				resize(t, p, 1)
				if st := p.Stats(); st.Size != 1 || st.Busy != 2 || st.Idle != 0 || srv.live() != 2 {
					t.Errorf("after 1: %+v with %d connections, want the 2 busy ones to go on", st, srv.live())
				}
				release()
				synctest.Wait()
				if st := p.Stats(); st.Busy != 0 || st.Idle != 1 || srv.live() != 1 || st.Done != 2 {
					t.Errorf("after the jobs: %+v with %d connections, want 1 idle", st, srv.live())
				}
				resize(t, p, 3)
				if st := p.Stats(); st.Idle != 3 || srv.live() != 3 {
					t.Errorf("after growing: %+v with %d connections, want 3 idle", st, srv.live())
				}
				hold(t, p, 3)()
			})
		})
	}
}

func resize(tb testing.TB, p pool.Pool, n int) {
	tb.Helper()
	if err := p.Resize(n); err != nil {
		tb.Fatal(err)
	}
	synctest.Wait()
}

// Otherwise there would be more connections than slots for as long as the old jobs take.
func TestGrowingAgainKeepsTheBusySlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{tb: t}
		p := newPool(t, pool.Threads, pool.Config{Size: 4, Hooks: []pool.Hook{srv.resource()}})
		release := hold(t, p, 4)
		resize(t, p, 1)
		resize(t, p, 4)
		release()
		synctest.Wait()
		if st := p.Stats(); st.Idle != 4 || srv.opened() != 4 || srv.live() != 4 {
			t.Errorf("%+v, %d connections opened, %d live, want 4", st, srv.opened(), srv.live())
		}
	})
}

func TestShrinkingEndsASlotThatCannotOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{tb: t}
		srv.down.Store(true)
		p := newPool(t, pool.Goroutines, pool.Config{Size: 3, Hooks: []pool.Hook{srv.resource()}})
		synctest.Wait()
		resize(t, p, 1)
		if st := p.Stats(); st.Opening != 1 {
			t.Errorf("%+v, want one slot opening", st)
		}
	})
}

func TestResizeUnderLoad(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Threads, pool.Goroutines} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			srv := &server{tb: t}
			r := srv.resource()
			p := newPool(t, kind, pool.Config{Size: 2, Hooks: []pool.Hook{r}})
			var senders sync.WaitGroup
			for range 4 {
				senders.Go(func() {
					for range 500 {
						if err := p.Submit(t.Context(), func(ctx context.Context) {
							if err := r.Use(ctx, srv.query); err != nil {
								t.Error(err)
							}
						}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			for i := range 60 {
				if err := p.Resize(1 + i*7%9); err != nil {
					t.Error(err)
				}
			}
			senders.Wait()
			if err := p.Resize(3); err != nil {
				t.Error(err)
			}
			eventually(t, "three idle slots and all jobs done", func() bool {
				st := p.Stats()
				return st.Idle == 3 && st.Busy == 0 && st.Done == 2000 && srv.live() == 3
			})
			stop(t, p)
			if srv.live() != 0 {
				t.Errorf("%d connections left", srv.live())
			}
		})
	}
}

func TestALargeGoroutinesPoolGrowsWithItsJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{tb: t}
		p := newPool(t, pool.Goroutines, pool.Config{Size: 1000, Hooks: []pool.Hook{srv.resource()}})
		synctest.Wait()
		if st := p.Stats(); st.Size != 1000 || st.Idle != 1000 || srv.opened() != 32 {
			t.Errorf("%+v with %d connections, want 1000 idle slots of which 32 started", st, srv.opened())
		}
		release := hold(t, p, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if st := p.Stats(); st.Busy != 1000 || st.Idle != 0 || srv.opened() != 1000 {
			t.Errorf("%+v with %d connections, want 1000 busy", st, srv.opened())
		}
		if err := p.Submit(ctx, func(context.Context) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("Submit = %v, want no slot more", err)
		}
		release()
		resize(t, p, 2000)
		resize(t, p, 5)
		if st := p.Stats(); st.Idle != 5 || srv.live() != 5 {
			t.Errorf("%+v with %d connections, want 5", st, srv.live())
		}
	})
}
