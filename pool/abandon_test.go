package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

// stick runs a job that does not return until release is called, and gives its slot up.
func stick(tb testing.TB, p pool.Pool, then func(ctx context.Context)) (release func()) {
	tb.Helper()
	gate, slot := make(chan struct{}), make(chan *pool.Slot, 1)
	done := start(tb, p, func(ctx context.Context) {
		slot <- pool.SlotFrom(ctx)
		<-gate
		then(ctx)
	})
	s := <-slot
	if !s.Abandon() {
		tb.Error("Abandon = false while the job runs")
	}
	if s.Abandon() {
		tb.Error("Abandon = true the second time")
	}
	return func() {
		close(gate)
		wait(tb, done)
	}
}

func TestAGivenUpSlotIsReplaced(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var book logBook
		var h recorder
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{&h, r}, Logger: book.logger()})
		release := stick(t, p, func(ctx context.Context) {
			foreign(t, "the given-up job", r.Use(ctx, srv.query), "that job was given up")
		})
		synctest.Wait()
		if st := p.Stats(); st.Stuck != 1 || st.Idle != 1 || st.Busy != 0 || st.Started != 1 || st.Done != 0 {
			t.Errorf("stats = %+v, want one stuck and one idle", st)
		}
		if got := number(t, p, r); got != 2 {
			t.Errorf("the new slot has connection %d, want its own", got)
		}
		release()
		synctest.Wait()
		if st := p.Stats(); st.Stuck != 0 || st.Idle != 1 || st.Done != 2 {
			t.Errorf("stats = %+v, want nothing stuck", st)
		}
		if h.all(1) != "start stop" || h.all(2) != "start done" {
			t.Errorf("hooks: slot 1 %s, slot 2 %s, want 1 stopped without JobDone", h.all(1), h.all(2))
		}
		if c := srv.all[0]; c.closedBy.Load() != c.opener || srv.live() != 1 {
			t.Errorf("closed by goroutine %v, opened by %s, %d left", c.closedBy.Load(), c.opener, srv.live())
		}
		if book.count("slot given up and replaced") != 1 || book.count("given-up job returned") != 1 {
			t.Error("it was not logged")
		}
	})
}

func TestAbandonInterruptsTheValue(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.Interrupt = func(c *conn) { c.cutOnce.Do(func() { close(c.cut) }) }
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		slot := make(chan *pool.Slot, 1)
		done := start(t, p, func(ctx context.Context) {
			slot <- pool.SlotFrom(ctx)
			err := r.Use(ctx, func(c *conn) error { <-c.cut; return errors.New("cut") })
			if err == nil {
				t.Error("Use = nil, want the error of the cut connection")
			}
		})
		s := <-slot
		synctest.Wait() // inside Use
		s.Abandon()
		wait(t, done)
		synctest.Wait()
		if st := p.Stats(); st.Stuck != 0 || st.Idle != 1 || srv.live() != 1 {
			t.Errorf("%+v with %d connections, want one idle slot with its own", st, srv.live())
		}
	})
}

func TestAbandonOfAFinishedJobDoesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		p := newPool(t, t.kind, pool.Config{Size: 1})
		var s *pool.Slot
		run(t, p, func(ctx context.Context) { s = pool.SlotFrom(ctx) })
		synctest.Wait()
		if s.Abandon() {
			t.Error("Abandon = true after the job")
		}
		release := hold(t, p, 1)
		if s.Abandon() {
			t.Error("Abandon = true: it would have hit the next job")
		}
		if st := p.Stats(); st.Busy != 1 || st.Stuck != 0 {
			t.Errorf("stats = %+v, want one busy", st)
		}
		release()
	})
}

func TestReplacementHasACap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var book logBook
		p := newPool(t, t.kind, pool.Config{Size: 1, MaxStuck: 2, Logger: book.logger()})
		nothing := func(context.Context) {}
		first, second, third := stick(t, p, nothing), stick(t, p, nothing), stick(t, p, nothing)
		synctest.Wait()
		if st := p.Stats(); st.Stuck != 3 || st.Idle != 0 || st.MaxStuck != 2 {
			t.Errorf("stats = %+v, want three stuck and no slot", st)
		}
		if book.count("slot given up and not replaced") != 1 || book.count("level=ERROR") != 1 {
			t.Error("that the pool ran out of slots was not logged as an error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Submit(ctx, nothing); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Submit = %v, want no slot", err)
		}
		second() // one returns: its place is free
		run(t, p, nothing)
		if st := p.Stats(); st.Stuck != 2 {
			t.Errorf("stats = %+v, want two stuck", st)
		}
		first()
		third()
		synctest.Wait()
	})
}

func TestStopDoesNotWaitForStuckJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		p := newPool(t, t.kind, pool.Config{Size: 1})
		release := stick(t, p, func(ctx context.Context) {
			if !errors.Is(context.Cause(ctx), pool.ErrStopped) {
				t.Errorf("cause = %v, want ErrStopped", context.Cause(ctx))
			}
		})
		left, ok := errors.AsType[*pool.LeftError](p.Stop(t.Context()))
		if !ok || left.Stuck != 1 || left.Running != 0 || left.Cause != nil {
			t.Errorf("Stop = %+v, want one stuck job left and nothing else", left)
		}
		release()
		synctest.Wait()
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v after it returned", err)
		}
	})
}

func TestTheGivenUpJobMayPanic(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		p := newPool(t, t.kind, pool.Config{Size: 1})
		stick(t, p, func(context.Context) { panic("late") })()
		synctest.Wait()
		if st := p.Stats(); st.Stuck != 0 || st.Done != 1 || st.Panics != 1 {
			t.Errorf("stats = %+v, want the job done", st)
		}
	})
}
