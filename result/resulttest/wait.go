package resulttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

func testWait(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	var wg sync.WaitGroup
	wg.Go(func() { store(t, b, success(id, `1`)) })
	if m := wait(t, b, id); string(m.Result) != "1" {
		t.Errorf("result = %s", m.Result)
	}
	if m := wait(t, b, id); string(m.Result) != "1" { // and again, now that it is there
		t.Errorf("result = %s", m.Result)
	}
	wg.Wait()
}

func testWaitElsewhere(t *testing.T, h Harness) {
	here, there := pair(t, h)
	id := uuid.NewString()
	var wg sync.WaitGroup
	wg.Go(func() {
		if m := wait(t, there, id); string(m.Result) != "1" {
			t.Errorf("result = %s", m.Result)
		}
	})
	store(t, here, success(id, `1`))
	wg.Wait()
}

func testIntermediate(t *testing.T, h Harness) {
	b := open(t, h)
	m := failure(uuid.NewString())
	m.State, m.DoneAt = task.Retried, time.Time{}
	store(t, b, m)
	wantState(t, b, m.ID, task.Retried)
	done := make(chan task.Meta)
	go func() { done <- wait(t, b, m.ID) }()
	m.State = "PROGRESS"
	store(t, b, m)
	wantState(t, b, m.ID, "PROGRESS")
	store(t, b, success(m.ID, `2`))
	if got := <-done; got.State != task.Success {
		t.Errorf("the wait ended with %s", got.State)
	}
}

func testWatch(t *testing.T, h Harness) {
	here, there := pair(t, h)
	id := uuid.NewString()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	steps := []task.Meta{
		{ID: id, State: "PROGRESS", Result: codec.Raw(`1`)}, {ID: id, State: "PROGRESS", Result: codec.Raw(`2`)}, success(id, `3`),
	}
	store(t, here, steps[0])
	var seen []string
	err := there.Watch(ctx, id, func(m task.Meta) bool {
		seen = append(seen, string(m.State)+string(m.Result))
		if len(seen) < len(steps) {
			store(t, here, steps[len(seen)])
		}
		return true
	})
	if diff := cmp.Diff([]string{"PROGRESS1", "PROGRESS2", "SUCCESS3"}, seen); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	err = there.Watch(ctx, id, func(m task.Meta) bool { return m.State != task.Success })
	if err != nil {
		t.Errorf("once it is over: %v", err)
	}
	brief, end := context.WithTimeout(t.Context(), time.Millisecond)
	defer end()
	if err := there.Watch(brief, uuid.NewString(), func(task.Meta) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the deadline", err)
	}
}

// testManyWatchers: states may be left out on the way, the last one never is.
func testManyWatchers(t *testing.T, h Harness) {
	here, there := pair(t, h)
	id := uuid.NewString()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const watchers, steps = 50, 20
	var wg sync.WaitGroup
	for range watchers {
		wg.Go(func() {
			var last task.Meta
			err := there.Watch(ctx, id, func(m task.Meta) bool {
				last = m
				return true
			})
			if err != nil || last.State != task.Success {
				t.Errorf("the last state seen is %s, %v", last.State, err)
			}
		})
	}
	for i := range steps {
		store(t, here, task.Meta{ID: id, State: "PROGRESS", Result: codec.Raw(fmt.Sprint(i))})
	}
	store(t, here, success(id, `null`))
	wg.Wait()
}

func testManyWaiters(t *testing.T, h Harness) {
	here, there := pair(t, h)
	const n = 10_000
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience) // the race detector makes it a long way for some
	defer cancel()
	prefix := uuid.NewString()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if m, err := there.Wait(ctx, fmt.Sprint(prefix, i)); err != nil || string(m.Result) != fmt.Sprint(i) {
				t.Errorf("result of %d = %s, %v", i, m.Result, err)
			}
		})
	}
	for i := range n {
		wg.Go(func() { store(t, here, success(fmt.Sprint(prefix, i), fmt.Sprint(i))) })
	}
	wg.Wait()
}

func testContext(t *testing.T, h Harness) {
	b := open(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.Wait(ctx, uuid.NewString()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the deadline", err)
	}
}

func testClose(t *testing.T, h Harness) {
	b := h.Open(t)
	const n = 10
	ended := make(chan error, n)
	for range n {
		go func() {
			_, err := b.Wait(t.Context(), uuid.NewString())
			ended <- err
		}()
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := <-ended; !errors.Is(err, result.ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	}
	_, err := b.Get(t.Context(), "x")
	for what, err := range map[string]error{"get": err, "store": b.Store(t.Context(), success("x", `1`)), "forget": b.Forget(t.Context(), "x")} {
		if !errors.Is(err, result.ErrClosed) {
			t.Errorf("%s: err = %v, want ErrClosed", what, err)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("the second close: %v", err)
	}
}

// testOutage: what is stored while a store is away, by this process or by another one, reaches those who wait once it is back.
func testOutage(t *testing.T, h Harness) {
	if h.Frail == nil {
		return // this store is never away
	}
	frail := h.Frail(t)
	closing(t, frail.Backend)
	peer := closing(t, h.Peer(t))
	const n = 100
	prefix := uuid.NewString()
	id := func(i int) string { return fmt.Sprint(prefix, i) }
	var waits, stores sync.WaitGroup
	for i := range 2 * n { // those of this process, and then those of the other one
		waits.Go(func() {
			if m := wait(t, frail.Backend, id(i)); string(m.Result) != fmt.Sprint(i) {
				t.Errorf("result of %d = %s", i, m.Result)
			}
		})
	}
	store(t, peer, success(id(2*n), `1`))
	wait(t, frail.Backend, id(2*n)) // by now it listens
	frail.Break()
	for i := range n {
		stores.Go(func() { storeInTheEnd(t, frail.Backend, success(id(i), fmt.Sprint(i))) })
	}
	for i := range n {
		store(t, peer, success(id(n+i), fmt.Sprint(n+i)))
	}
	frail.Mend()
	stores.Wait()
	waits.Wait()
}

// storeInTheEnd stores as a worker does: again, until it works.
func storeInTheEnd(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		err := b.Store(ctx, m)
		if err == nil {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Errorf("store: %v", err)
			return
		}
	}
}
