// Package resulttest is the suite that every result store passes that can be looked up by id.
package resulttest

import (
	"context"
	"maps"
	"testing"
	"time"

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
	// Frail returns a Backend whose connection to the store can be broken, while that of Peer cannot. Nil when there is none.
	Frail func(t *testing.T) Frail
}

// Frail is a Backend whose store can be taken away from it.
type Frail struct {
	Backend     result.Backend
	Break, Mend func()
}

// patience bounds each wait for something that must happen.
const patience = time.Minute

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	tests := map[string]func(*testing.T, Harness){
		"UnknownTaskIsPending":                  testUnknown,
		"StoredOutcomeIsFoundWhole":             testRoundTrip,
		"ExtendedMetadataIsFoundWhole":          testExtended,
		"ChildrenAreFoundAsTheyWere":            testChildren,
		"AnyIDWillDo":                           testIDs,
		"LargeResultsAreKept":                   testLarge,
		"WaiterGetsTheOutcome":                  testWait,
		"WaiterOfAnotherProcessGetsTheOutcome":  testWaitElsewhere,
		"OnlyAFinalStateEndsAWait":              testIntermediate,
		"WatcherSeesTheStates":                  testWatch,
		"EveryWatcherSeesTheEnd":                testManyWatchers,
		"TenThousandWaitAtOnce":                 testManyWaiters,
		"StoredSuccessIsNeverOverwritten":       testSuccessStays,
		"NorIsItByManyWritersAtOnce":            testRace,
		"OtherStatesAreOverwritten":             testOverwrite,
		"ForgottenTaskIsPending":                testForget,
		"WaitEndsWithItsContext":                testContext,
		"CloseEndsTheWaitsAndRefusesTheRest":    testClose,
		"OutcomesExpire":                        testExpiry,
		"GroupsAreKept":                         testGroups,
		"GroupsExpire":                          testGroupExpiry,
		"WhatIsStoredInAnOutageReachesTheWaits": testOutage,
	}
	maps.Copy(tests, chordTests())
	for name, test := range tests {
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
