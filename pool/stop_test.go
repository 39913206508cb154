package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

func TestStopWaitsForRunningJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var h recorder
		n := sizeOf(t.kind, 3)
		p := newPool(t, t.kind, pool.Config{Size: n, Hooks: []pool.Hook{&h}})
		synctest.Wait() // all slots open
		finished := false
		start(t, p, func(ctx context.Context) {
			time.Sleep(time.Minute)
			finished = ctx.Err() == nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("Stop = %v", err)
		}
		if !finished || time.Since(began) != time.Minute {
			t.Errorf("finished uncancelled: %v, after %v, want true after a minute", finished, time.Since(began))
		}
		if h.count("stop") != n || h.count("done") != 1 {
			t.Errorf("%d slots stopped, %d jobs done, want %d and 1", h.count("stop"), h.count("done"), n)
		}
		if err := p.Submit(t.Context(), func(context.Context) {}); !errors.Is(err, pool.ErrStopped) {
			t.Errorf("Submit = %v, want ErrStopped", err)
		}
		if err := p.Resize(1); !errors.Is(err, pool.ErrStopped) {
			t.Errorf("Resize = %v, want ErrStopped", err)
		}
		if err := p.Stop(ctx); err != nil {
			t.Errorf("second Stop = %v", err)
		}
		if st := p.Stats(); st.Done != 1 || st.Busy+st.Idle+st.Opening != 0 {
			t.Errorf("stats = %+v, want nothing left", st)
		}
	})
}

func TestStopCancelsWhenTheGraceIsOver(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var h recorder
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{&h}})
		shutdown := errors.New("worker shuts down")
		done := start(t, p, func(ctx context.Context) {
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, pool.ErrStopped) || !errors.Is(cause, shutdown) {
				t.Errorf("cause = %v, want ErrStopped and the reason", cause)
			}
			time.Sleep(time.Second)
		})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, shutdown)
		defer cancel()
		err := p.Stop(ctx)
		left, ok := errors.AsType[*pool.LeftError](err)
		if !ok || left.Running != 1 || left.Closing != 0 || left.Stuck != 0 || !errors.Is(err, shutdown) {
			t.Errorf("Stop = %v, want one running job left, because of the shutdown", err)
		}
		if want := "pool: stopped with 1 running jobs, 0 stuck jobs and 0 closing slots left: worker shuts down"; err.Error() != want {
			t.Errorf("Stop = %q, want %q", err, want)
		}
		more, cancelMore := context.WithTimeout(t.Context(), time.Minute)
		defer cancelMore()
		if err := p.Stop(more); err != nil {
			t.Errorf("second Stop = %v, want the job to have returned", err)
		}
		wait(t, done)
		if h.all(1) != "start done stop" {
			t.Errorf("hooks: %s, want start done stop", h.all(1))
		}
	})
}

func TestStopFreesWaitingSubmitters(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		p := newPool(t, t.kind, pool.Config{Size: 1})
		release := hold(t, p, 1)
		result := make(chan error, 1)
		go func() {
			result <- p.Submit(t.Context(), func(context.Context) { t.Error("ran after Stop") })
		}()
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(t.Context()) }()
		if err := <-result; !errors.Is(err, pool.ErrStopped) {
			t.Errorf("Submit = %v, want ErrStopped", err)
		}
		release()
		if err := <-stopped; err != nil {
			t.Errorf("Stop = %v", err)
		}
	})
}

func TestStopEndsASlotThatCannotOpen(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		r := &pool.Resource[int]{Name: "number", OpenTimeout: time.Hour, Open: func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}}
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		synctest.Wait()
		began := time.Now()
		if err := p.Stop(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("Stop = %v after %v, want at once", err, time.Since(began))
		}
	})
}

// stubborn is a hook that fails in the way it is told.
type stubborn struct {
	recorder
	start, done, stop func() error
}

func (h *stubborn) SlotStart(ctx context.Context, s *pool.Slot) error {
	_ = h.recorder.SlotStart(ctx, s)
	if h.start == nil {
		return nil
	}
	return h.start()
}

func (h *stubborn) JobDone(ctx context.Context, s *pool.Slot) {
	h.recorder.JobDone(ctx, s)
	if h.done != nil {
		_ = h.done()
	}
}

func (h *stubborn) SlotStop(ctx context.Context, s *pool.Slot) {
	h.recorder.SlotStop(ctx, s)
	if h.stop != nil {
		_ = h.stop()
	}
}

func TestOnlyTheHooksThatFailedStartAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		tries := 0
		first, third := &stubborn{}, &stubborn{}
		second := &stubborn{start: func() error {
			if tries++; tries < 3 {
				return errors.New("not yet")
			}
			return nil
		}}
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{first, second, third}})
		run(t, p, func(context.Context) {})
		stop(t, p)
		if first.all(1) != "start done stop" || second.all(1) != "start start start done stop" || third.all(1) != "start done stop" {
			t.Errorf("hooks: %s; %s; %s", first.all(1), second.all(1), third.all(1))
		}
	})
}

func TestAHookWhoseStartFailedIsStopped(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		first, never := &stubborn{}, &stubborn{}
		failing := &stubborn{start: func() error { return errors.New("no") }}
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{first, failing, never}})
		synctest.Wait()
		stop(t, p)
		if first.all(1) != "start stop" || failing.all(1) != "start stop" || never.all(1) != "" {
			t.Errorf("hooks: %q, %q, %q, want the first two stopped", first.all(1), failing.all(1), never.all(1))
		}
	})
}

func TestPanicsOfHooksAreContained(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var book logBook
		tries := 0
		h := &stubborn{
			start: func() error {
				if tries++; tries == 1 {
					panic("start")
				}
				return nil
			},
			done: func() error { panic("done") },
			stop: func() error { panic("stop") },
		}
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r, h}, Logger: book.logger()})
		number(t, p, r)
		number(t, p, r)
		stop(t, p)
		if h.all(1) != "start start done done stop" || srv.live() != 0 {
			t.Errorf("hooks: %s, %d connections left, want every call made", h.all(1), srv.live())
		}
		if got := book.count("hook panicked"); got != 5 { // four panics; the first is in the warning too
			t.Errorf("%d lines about panics, want 5", got)
		}
	})
}
