// Package resulttest is the suite that every result store passes that can be looked up by id.
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

// Harness opens the store under test.
type Harness struct {
	// Open returns a Backend. The suite closes it.
	Open func(t *testing.T) result.Backend
	// Peer returns another Backend on the same store as those of Open, as another process would have. Nil when a store has but one.
	Peer func(t *testing.T) result.Backend
	// Expiring returns a Backend on a store that keeps outcomes for the given time.
	Expiring func(t *testing.T, expires time.Duration) result.Backend
}

// patience bounds each wait for something that must happen.
const patience = time.Minute

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"UnknownTaskIsPending":                 testUnknown,
		"StoredOutcomeIsFoundWhole":            testRoundTrip,
		"WaiterGetsTheOutcome":                 testWait,
		"WaiterOfAnotherProcessGetsTheOutcome": testWaitElsewhere,
		"OnlyAFinalStateEndsAWait":             testIntermediate,
		"WatcherSeesTheStates":                 testWatch,
		"TenThousandWaitAtOnce":                testManyWaiters,
		"StoredSuccessIsNeverOverwritten":      testSuccessStays,
		"OtherStatesAreOverwritten":            testOverwrite,
		"ForgottenTaskIsPending":               testForget,
		"WaitEndsWithItsContext":               testContext,
		"CloseEndsTheWaitsAndRefusesTheRest":   testClose,
		"OutcomesExpire":                       testExpiry,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

func open(t *testing.T, h Harness) result.Backend {
	t.Helper()
	return closing(t, h.Open(t))
}

// pair returns two Backends on one store, or the same one twice where there is but one.
func pair(t *testing.T, h Harness) (here, there result.Backend) {
	t.Helper()
	here = open(t, h)
	if h.Peer == nil {
		return here, here
	}
	return here, closing(t, h.Peer(t))
}

func closing(t *testing.T, b result.Backend) result.Backend {
	t.Helper()
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func success(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value), DoneAt: time.Now().UTC().Truncate(time.Microsecond)}
}

func failure(id string) task.Meta {
	return task.Meta{
		ID: id, State: task.Failure, Traceback: "Traceback…", DoneAt: time.Now().UTC().Truncate(time.Microsecond),
		Result: codec.Raw(`{"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"}`),
	}
}

func store(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	if err := b.Store(t.Context(), m); err != nil {
		t.Fatalf("store: %v", err)
	}
}

func wantState(t *testing.T, b result.Backend, id string, want task.State) {
	t.Helper()
	if m, err := b.Get(t.Context(), id); err != nil || m.State != want || m.ID != id {
		t.Errorf("%s is %s, %v; want %s", m.ID, m.State, err, want)
	}
}

func wait(t *testing.T, b result.Backend, id string) task.Meta {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := b.Wait(ctx, id)
	if err != nil {
		t.Errorf("wait for %s: %v", id, err)
	}
	return m
}

func testUnknown(t *testing.T, h Harness) {
	wantState(t, open(t, h), uuid.NewString(), task.Pending)
}

func testRoundTrip(t *testing.T, h Harness) {
	b := open(t, h)
	m := failure(uuid.NewString())
	m.Children = []task.Ref{{ID: "c"}, {ID: "g", Parent: &task.Ref{ID: "p"}, Group: true, Members: []task.Ref{{ID: "m"}}}}
	m.GroupID, m.ParentID = "g", "p"
	sent := m
	sent.ReplyTo, sent.CorrelationID = "q", "c" // where to send it is not part of it
	store(t, b, sent)
	got, err := b.Get(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
}

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

func testManyWaiters(t *testing.T, h Harness) {
	here, there := pair(t, h)
	const n = 10_000
	prefix := uuid.NewString()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if m := wait(t, there, fmt.Sprint(prefix, i)); string(m.Result) != fmt.Sprint(i) {
				t.Errorf("result of %d = %s", i, m.Result)
			}
		})
	}
	for i := range n {
		wg.Go(func() { store(t, here, success(fmt.Sprint(prefix, i), fmt.Sprint(i))) })
	}
	wg.Wait()
}

func testSuccessStays(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	for _, m := range []task.Meta{failure(id), success(id, `2`)} {
		store(t, b, m)
		if got, err := b.Get(t.Context(), id); err != nil || got.State != task.Success || string(got.Result) != "1" {
			t.Errorf("after a %s: %s %s, %v", m.State, got.State, got.Result, err)
		}
	}
}

func testOverwrite(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	for _, m := range []task.Meta{{ID: id, State: task.Started, Result: codec.Raw("null")}, failure(id), success(id, `1`)} {
		store(t, b, m)
		wantState(t, b, id, m.State)
	}
}

func testForget(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	if err := b.Forget(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	wantState(t, b, id, task.Pending)
	if err := b.Forget(t.Context(), id); err != nil {
		t.Errorf("the second time: %v", err)
	}
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

func testExpiry(t *testing.T, h Harness) {
	b := closing(t, h.Expiring(t, 50*time.Millisecond))
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if m, err := b.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		} else if m.State == task.Pending {
			break
		}
		select {
		case <-deadline:
			t.Fatal("it does not expire")
		case <-tick.C:
		}
	}
	store(t, b, failure(id)) // an expired success is no success
	m, err := b.Get(t.Context(), id)
	if err != nil || m.State == task.Success {
		t.Errorf("state = %s, %v", m.State, err)
	}
}
