package pool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/pool"
)

// foreign checks that err is the lesson, with all of these words in it.
func foreign(tb testing.TB, what string, err error, words ...string) {
	tb.Helper()
	owner, ok := errors.AsType[*pool.OwnershipError](err)
	if !ok || !errors.Is(err, pool.ErrForeignSlot) {
		tb.Errorf("%s: %v, want an *OwnershipError", what, err)
		return
	}
	if owner.Resource != "database" || owner.Slot == 0 {
		tb.Errorf("%s: %+v names no owner", what, owner)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			tb.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
}

// The failure that this package exists for: after the task, a hook that ran somewhere else closed the task's connection.
func TestClosingFromElsewhereIsRefusedInEveryPool(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		var book logBook
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}, Logger: book.logger()})
		var loan *pool.Loan[*conn]
		contexts := make(chan context.Context, 1)
		run(t, p, func(ctx context.Context) {
			contexts <- ctx
			var err error
			if loan, err = r.Borrow(ctx); err != nil {
				t.Error(err)
				return
			}
			if err := loan.Use(ctx, srv.query); err != nil {
				t.Errorf("the borrower: %v", err)
			}
			foreign(t, "no slot, during the job", loan.Discard(t.Context()),
				`resource "database" was opened by slot 1, was lent to its job 1 and can only be used there`, "used outside of a pool")
			r.SlotStop(ctx, pool.SlotFrom(ctx))
			r.JobDone(ctx, pool.SlotFrom(ctx))
			foreign(t, "a hook, during the job", r.SlotReady(ctx, pool.SlotFrom(ctx)), "only the pool calls a slot's hooks")
			foreign(t, "a hook without a slot", r.SlotStart(t.Context(), pool.SlotFrom(ctx)), "used outside of a pool")
		})
		kept := <-contexts
		eventually(t, "the job is over", func() bool { return p.Stats().Done == 1 })
		foreign(t, "discard after the job", r.Discard(kept), "by slot 1 with the context of its job 1: that is over")
		foreign(t, "use after the job", r.Use(kept, srv.query), "that is over")
		foreign(t, "loan after the job", loan.Use(kept, srv.query), "that is over")
		_, err := r.Borrow(kept)
		foreign(t, "borrow after the job", err, "that is over")
		_, err = r.Get(kept)
		foreign(t, "get after the job", err, "that is over")
		r.SlotStop(kept, pool.SlotFrom(kept))
		r.Failed(kept, errors.New("too late"))
		run(t, p, func(ctx context.Context) {
			foreign(t, "during the next job", r.Discard(kept), "that is over, slot 1 runs its job 2 now")
			foreign(t, "by the next job", loan.Discard(ctx), "lent to its job 1", "by slot 1 with the context of its job 2")
		})
		if srv.opened() != 1 || srv.live() != 1 || srv.pinged() != 0 {
			t.Errorf("%d connections opened, %d live, %d pings: want the one untouched", srv.opened(), srv.live(), srv.pinged())
		}
		if got := book.count("resource refused a call from outside of its slot"); got != 3 {
			t.Errorf("%d refused hook calls logged, want 3", got)
		}
		stop(t, p)
		foreign(t, "after stop", r.Discard(kept), "that slot has ended")
	})
}

func TestAnotherSlotsJobIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Threads, pool.Goroutines} {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, kind, pool.Config{Size: 2, Hooks: []pool.Hook{r}})
		loans, release := make(chan *pool.Loan[*conn]), make(chan struct{})
		slots := make(chan *pool.Slot, 1)
		first := start(t, p, func(ctx context.Context) {
			loan, err := r.Borrow(ctx)
			if err != nil {
				t.Error(err)
			}
			slots <- pool.SlotFrom(ctx)
			loans <- loan
			<-release
			if err := loan.Use(ctx, srv.query); err != nil {
				t.Errorf("the owner: %v", err)
			}
		})
		loan := <-loans
		owner := <-slots
		run(t, p, func(ctx context.Context) {
			foreign(t, "use", loan.Use(ctx, srv.query), "that is another slot", "with the context of its job 1")
			foreign(t, "discard", loan.Discard(ctx), "that is another slot")
			foreign(t, "hook", r.SlotReady(ctx, owner), "that is another slot")
		})
		close(release)
		wait(t, first)
	}
}

// meddler is a hook that lays hands on the other slot's value.
type meddler struct {
	r     *pool.Resource[*conn]
	mu    sync.Mutex
	slots []*pool.Slot
	errs  []error
}

func (h *meddler) SlotStart(_ context.Context, s *pool.Slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slots = append(h.slots, s)
	return nil
}

func (h *meddler) JobDone(ctx context.Context, s *pool.Slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.slots {
		if other.ID() != s.ID() {
			h.r.SlotStop(ctx, other)
			h.errs = append(h.errs, h.r.SlotReady(ctx, other))
		}
	}
}

func (h *meddler) SlotStop(context.Context, *pool.Slot) {}

func TestAnotherSlotsHookIsRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Threads, pool.Goroutines} {
		srv := &server{tb: t}
		r := srv.resource()
		h := &meddler{r: r}
		p := newPool(t, kind, pool.Config{Size: 2, Hooks: []pool.Hook{r, h}})
		eventually(t, "both slots open", func() bool { return p.Stats().Idle == 2 })
		run(t, p, func(context.Context) {})
		eventually(t, "the job done and its slot idle", func() bool { return p.Stats().Idle == 2 })
		if srv.live() != 2 || srv.opened() != 2 {
			t.Errorf("%d connections opened, %d live, want both slots to keep theirs", srv.opened(), srv.live())
		}
		stop(t, p)
		if len(h.errs) != 1 {
			t.Fatalf("%d tries, want 1", len(h.errs))
		}
		foreign(t, "hook", h.errs[0], "can only be used by its hooks", "between its jobs", "that is another slot")
	}
}

func TestAnErrorOfCloseIsOnlyLogged(t *testing.T) {
	t.Parallel()
	var book logBook
	r := &pool.Resource[int]{
		Name:  "number",
		Open:  func(context.Context) (int, error) { return 1, nil },
		Close: func(context.Context, int) error { return errors.New("it was gone") },
	}
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}, Logger: book.logger()})
	run(t, p, func(context.Context) {})
	stop(t, p)
	if book.count("it was gone") != 1 {
		t.Error("the error was not logged")
	}
}

func TestASecondGoroutineOfTheJobIsRefused(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		srv := &server{tb: t}
		r := srv.resource()
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}})
		run(t, p, func(ctx context.Context) {
			err := r.Use(ctx, func(c *conn) error {
				result := make(chan error)
				go func() { result <- r.Use(ctx, srv.query) }()
				if err := <-result; !errors.Is(err, pool.ErrConcurrentUse) {
					t.Errorf("second goroutine: %v, want ErrConcurrentUse", err)
				}
				if err := r.Use(ctx, srv.query); !errors.Is(err, pool.ErrConcurrentUse) {
					t.Errorf("nested: %v, want ErrConcurrentUse", err)
				}
				if _, err := r.Get(ctx); !errors.Is(err, pool.ErrConcurrentUse) {
					t.Errorf("Get: %v, want ErrConcurrentUse", err)
				}
				if err := r.Discard(ctx); !errors.Is(err, pool.ErrConcurrentUse) {
					t.Errorf("Discard: %v, want ErrConcurrentUse", err)
				}
				return srv.query(c)
			})
			if err != nil {
				t.Error(err)
			}
			result := make(chan error)
			go func() { result <- r.Use(ctx, srv.query) }()
			if err := <-result; err != nil {
				t.Errorf("one after the other: %v", err)
			}
		})
	})
}

// A goroutine that outlives its job inside Use keeps that value, cut off; the slot goes on with another one.
func TestAStragglersValueIsNotShared(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		var book logBook
		srv := &server{tb: t}
		r := srv.resource()
		r.Interrupt = func(c *conn) { c.cutOnce.Do(func() { close(c.cut) }) }
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{r}, Logger: book.logger()})
		release, left := make(chan struct{}), make(chan string, 1)
		run(t, p, func(ctx context.Context) {
			inside := make(chan struct{})
			go func() {
				defer func() { left <- goroutine() }()
				err := r.Use(ctx, func(c *conn) error {
					close(inside)
					<-c.cut // a query that fails when its connection is cut
					<-release
					return srv.query(c)
				})
				if err != nil {
					t.Error(err)
				}
				foreign(t, "once more", r.Use(ctx, srv.query), "lent to its job 1")
			}()
			<-inside
		})
		if got := number(t, p, r); got != 2 {
			t.Errorf("the next job got connection %d, want another one", got)
		}
		if srv.live() != 2 {
			t.Errorf("%d connections, want 2: the straggler is still inside", srv.live())
		}
		close(release)
		straggler := <-left
		if got := srv.all[0].closedBy.Load(); got != straggler || srv.live() != 1 {
			t.Errorf("closed by goroutine %v, %d left, want by the straggler %s and 1", got, srv.live(), straggler)
		}
		if book.count("job left a goroutine inside its resource") != 1 {
			t.Error("it was not logged")
		}
	})
}

// A straggler that is opening a connection when its job ends closes it and never gets to use it.
func TestAStragglerThatOpensIsTurnedAway(t *testing.T) {
	t.Parallel()
	srv := &server{tb: t}
	r := srv.resource()
	r.Lazy = true
	dialing, proceed := make(chan struct{}), make(chan struct{})
	first := true
	r.Open = func(ctx context.Context) (*conn, error) {
		if first {
			first = false
			close(dialing)
			<-proceed
		}
		return srv.dial(ctx)
	}
	p := newPool(t, pool.Solo, pool.Config{Hooks: []pool.Hook{r}})
	result := make(chan error, 1)
	run(t, p, func(ctx context.Context) {
		go func() {
			result <- r.Use(ctx, func(*conn) error { t.Error("called after the job"); return nil })
		}()
		<-dialing
	})
	if got := number(t, p, r); got != 1 {
		t.Errorf("the next job got connection %d, want 1", got)
	}
	close(proceed)
	foreign(t, "the straggler", <-result, "that is over")
	if srv.live() != 1 {
		t.Errorf("%d connections, want the slot's own", srv.live())
	}
}
