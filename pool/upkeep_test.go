package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

// bubble runs a test in every pool on virtual time.
func bubble(t *testing.T, test func(t trial)) {
	t.Helper()
	eachKind(t, func(outer trial) {
		synctest.Test(outer.T, func(t *testing.T) { test(trial{t, outer.kind}) })
	})
}

func TestAnEndedValueIsReplacedBeforeTheJobStarts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		number(t, p, r)
		srv.all[0].dead.Store(true) // without a pause: busy slots are looked at as well
		if got := number(t, p, r); got != 2 {
			t.Errorf("the job got connection %d, want a new one", got)
		}
		if srv.peak() != 1 || srv.pinged() != 0 {
			t.Errorf("%d connections at once, %d pings, want 1 and 0", srv.peak(), srv.pinged())
		}
	})
}

func TestPeekAfterSparesABusyValue(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.PeekAfter = time.Second
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		number(t, p, r)
		time.Sleep(999 * time.Millisecond)
		number(t, p, r)
		if srv.peeks != 0 {
			t.Errorf("peeked after less than a second")
		}
		time.Sleep(time.Second)
		number(t, p, r)
		if srv.peeks != 1 {
			t.Errorf("%d peeks after a second, want 1", srv.peeks)
		}
	})
}

func TestALongIdleValueIsPinged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.Peek = nil
		r.PingAfter = time.Minute
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		number(t, p, r)
		time.Sleep(59 * time.Second)
		if number(t, p, r); srv.pinged() != 0 {
			t.Error("pinged before its time")
		}
		time.Sleep(time.Minute)
		if number(t, p, r); srv.pinged() != 1 {
			t.Errorf("%d pings, want 1", srv.pinged())
		}
		srv.all[0].dead.Store(true)
		time.Sleep(time.Minute)
		if got := number(t, p, r); got != 2 || srv.pinged() != 2 {
			t.Errorf("connection %d after %d pings, want a new one after 2", got, srv.pinged())
		}
	})
}

func TestAPingThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.PingAfter = time.Minute
		r.Ping = func(ctx context.Context, _ *conn) error { <-ctx.Done(); return ctx.Err() }
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		synctest.Wait()
		time.Sleep(time.Minute)
		began := time.Now()
		if got := number(t, p, r); got != 2 || time.Since(began) != time.Second {
			t.Errorf("connection %d after %v, want a new one after 1s", got, time.Since(began))
		}
	})
}

func TestAnOldValueIsReplacedBetweenJobs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		r.MaxAge = time.Hour
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		synctest.Wait()
		time.Sleep(53 * time.Minute)
		if got := number(t, p, r); got != 1 {
			t.Errorf("connection %d before nine tenths of its age, want 1", got)
		}
		<-start(t, p, func(ctx context.Context) {
			time.Sleep(7 * time.Minute)
			if c, err := r.Get(ctx); err != nil || c.number != 1 {
				t.Errorf("Get = %v, %v, want 1: never during a job", c, err)
			}
		})
		synctest.Wait()
		if srv.opened() != 2 || srv.live() != 1 {
			t.Errorf("%d opened, %d live after the job, want 2 and 1", srv.opened(), srv.live())
		}
		time.Sleep(time.Hour)
		if got := number(t, p, r); got != 3 {
			t.Errorf("connection %d after an idle hour, want 3", got)
		}
	})
}

func TestOldValuesAreNotReplacedAllAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{tb: t}
		r := srv.resource()
		r.MaxAge = time.Hour
		p := newPool(t, pool.Goroutines, pool.Config{Size: 30, Hooks: []pool.Hook{r}})
		synctest.Wait()
		time.Sleep(57 * time.Minute)
		hold(t, p, 30)()
		synctest.Wait()
		if n := srv.opened() - 30; n == 0 || n == 30 {
			t.Errorf("%d of 30 were replaced after 57 minutes, want some", n)
		}
	})
}

func TestASlotThatCannotOpenTakesNoJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		var book logBook
		srv := &server{tb: t}
		srv.down.Store(true)
		r := srv.resource()
		n := sizeOf(t.kind, 3)
		p := newPool(t, t.kind, pool.Config{Size: n, Hooks: []pool.Hook{r}, Logger: book.logger()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Submit(ctx, func(context.Context) { t.Error("ran without its connection") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Submit = %v, want to wait in vain", err)
		}
		if st := p.Stats(); st.Opening != n || st.Idle != 0 || st.Busy != 0 {
			t.Errorf("stats = %+v, want all opening", st)
		}
		if got := book.count("slot cannot open its resources"); got != n {
			t.Errorf("%d warnings, want one for each of %d slots", got, n)
		}
		if book.count("level=WARN") != n || book.count("retry_in=") != n || book.count("connection refused") != n {
			t.Error("the warning lacks its level, error or retry_in")
		}
		srv.reset(errors.New("starting up"))
		time.Sleep(10 * time.Second)
		if got := book.count("starting up"); got != n {
			t.Errorf("%d warnings of the other error, want %d", got, n)
		}
		srv.down.Store(false)
		time.Sleep(5 * time.Second) // the longest back-off
		synctest.Wait()
		if st := p.Stats(); st.Idle != n || book.count("slot opened its resources") != n {
			t.Errorf("stats = %+v, want all healed, and said so", st)
		}
		number(t, p, r)
	})
}

func TestBackOffDoublesUpToItsCap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		began := time.Now()
		r := &pool.Resource[int]{Name: "number", Open: func(context.Context) (int, error) {
			tries = append(tries, time.Since(began))
			return 0, errors.New("no")
		}}
		p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}, RetryMin: time.Second, RetryMax: 8 * time.Second})
		time.Sleep(time.Minute)
		stop(t, p)
		same := true
		for i, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
			gap := tries[i+1] - tries[i]
			same = same && gap == most
			if gap < most/2 || gap > most {
				t.Errorf("wait %d = %v, want between %v and %v", i+1, gap, most/2, most)
			}
		}
		if same {
			t.Error("no wait was jittered")
		}
	})
}

func TestATakenJobWaitsForItsResource(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		synctest.Wait()
		srv.all[0].dead.Store(true)
		srv.down.Store(true)
		got := 0
		done := start(t, p, func(ctx context.Context) {
			if ctx.Err() != nil {
				t.Error("its context was done")
			}
			c, err := r.Get(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			got = c.number
		})
		time.Sleep(time.Minute)
		select {
		case <-done:
			t.Fatal("ran while the server was down")
		default:
		}
		if st := p.Stats(); st.Busy != 1 || st.Started != 0 {
			t.Errorf("stats = %+v, want one busy slot and no job started", st)
		}
		srv.down.Store(false)
		wait(t, done)
		if got != 2 {
			t.Errorf("the job got connection %d, want 2", got)
		}
	})
}

func TestAJobThatWaitedInVainIsTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		synctest.Wait()
		srv.all[0].dead.Store(true)
		srv.down.Store(true)
		done := start(t, p, func(ctx context.Context) {
			if !errors.Is(context.Cause(ctx), pool.ErrStopped) {
				t.Errorf("cause = %v at the first line, want ErrStopped", context.Cause(ctx))
			}
		})
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Stop(ctx); err != nil || time.Since(began) != 0 {
			t.Errorf("Stop = %v after %v, want the job handed back at once", err, time.Since(began))
		}
		wait(t, done)
	})
}
