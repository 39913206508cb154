// Package limittest is the suite that every store of places and turns passes.
package limittest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/limit"
)

// Harness opens the store under test.
type Harness struct {
	// Open returns a handle on a store, as another process would have: each call another one, and all of a test on the same store. The
	// suite closes it.
	Open func(t *testing.T) limit.Store
	// Counted returns a handle on an empty store of its own, and what counts the keys that are kept in there.
	Counted func(t *testing.T) (limit.Store, func() int)
	// Frail returns a handle whose store can be taken away from it, in each of several ways by their names. Nil when there is none.
	Frail map[string]func(t *testing.T) Frail
	// Hold starts a process that takes the place of key for owner and then does nothing. It returns once the place is taken, with what
	// kills the process. Nil when a store is in one process alone.
	Hold func(t *testing.T, claim limit.Claim) (kill func())
	// OwnClock says that the store tells the time by a clock that is not this machine's system clock, so that the one in a bubble of
	// testing/synctest is wrong.
	OwnClock bool
}

// Frail is a handle whose store can be taken away from it.
type Frail struct {
	Store       limit.Store
	Break, Mend func()
}

const (
	// patience bounds each wait for something that must happen.
	patience = time.Minute
	// short is a time that a test waits for, long one that never passes in a test.
	short = 150 * time.Millisecond
	long  = time.Hour
)

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"OneOfTwoOwnersGetsThePlaceAndTheOtherLearnsWhoHoldsIt": testOnePlace,
		"PlacesAreNeverExceeded":                                testManyOwners,
		"APlaceIsFreeAfterItsTimeAndNotBefore":                  testExpiry,
		"ExtendingKeepsThePlace":                                testExtend,
		"AnExtensionMayBeShorter":                               testExtendShorter,
		"WhatIsLostCannotBeExtended":                            testLost,
		"AReleasedPlaceIsFree":                                  testRelease,
		"AStrangerReleasesNothing":                              testStranger,
		"AnOwnerThatAcquiresAgainHasOnePlaceToTheLaterEnd":      testAgain,
		"TheNumberOfPlacesMayChange":                            testPlacesChange,
		"TurnsAreEveryApartWhoeverTakesThem":                    testTurns,
		"ABurstFollowsATimeWithout":                             testBurst,
		"NothingIsTakenBeyondTheHorizon":                        testHorizon,
		"ANewRateHoldsForLaterTurns":                            testNewRate,
		"HugeNumbersDoNotOverflow":                              testHuge,
		"KeysKnowNothingOfEachOther":                            testApart,
		"AnyKeyAndAnyOwnerWillDo":                               testNames,
		"NonsenseIsRefused":                                     testInvalid,
		"CallsEndWithTheirContext":                              testContext,
		"AfterAnOutageEverythingWorksAgain":                     testOutage,
		"CloseRefusesTheRest":                                   testClose,
		"WhatIsNotUsedVanishes":                                 testVanish,
		"ClocksThatDisagreeDoNotMatter":                         testSkew,
		"TheKilledHoldTheirPlaceForItsTime":                     testKilled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// Behind are the ways in which a server behind a proxy is away: nobody listens, or nobody answers. start starts a proxy and opens a store
// behind it.
func Behind(start func(t *testing.T) (limit.Store, *testserver.Proxy)) map[string]func(t *testing.T) Frail {
	return map[string]func(t *testing.T) Frail{
		"nobody listens": func(t *testing.T) Frail {
			t.Helper()
			s, proxy := start(t)
			return Frail{Store: s, Break: proxy.Refuse, Mend: proxy.Resume}
		},
		"nobody answers": func(t *testing.T) Frail {
			t.Helper()
			s, proxy := start(t)
			return Frail{Store: s, Break: func() { proxy.Stall() }, Mend: proxy.Resume}
		},
	}
}

func open(t *testing.T, h Harness) limit.Store {
	t.Helper()
	return closing(t, h.Open(t))
}

func closing(t *testing.T, s limit.Store) limit.Store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// newKey is one that no other test has.
func newKey() string { return "key-" + rand.Text() }

// lock is a claim for the only place of a key.
func lock(key, owner string, ttl time.Duration) limit.Claim {
	return limit.Claim{Key: key, Owner: owner, Places: 1, TTL: ttl}
}

func acquire(t *testing.T, s limit.Store, claim limit.Claim) limit.Grant {
	t.Helper()
	g, err := s.Acquire(t.Context(), claim)
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	return g
}

// wantHeld acquires, and fails unless the owner gets a place that it did not have.
func wantHeld(t *testing.T, s limit.Store, claim limit.Claim) {
	t.Helper()
	if g := acquire(t, s, claim); g != (limit.Grant{Held: true, Fresh: true}) {
		t.Fatalf("%s got %+v, want a place that is new", claim.Owner, g)
	}
}

// wantRefused acquires, and fails unless another one has the place.
func wantRefused(t *testing.T, s limit.Store, claim limit.Claim, holder string) {
	t.Helper()
	if g := acquire(t, s, claim); g != (limit.Grant{Holder: holder}) {
		t.Fatalf("%s got %+v, want none: %s holds the place", claim.Owner, g, holder)
	}
}

// wantHeldInTheEnd acquires until the owner gets a place.
func wantHeldInTheEnd(t *testing.T, s limit.Store, claim limit.Claim) {
	t.Helper()
	eventually(t, claim.Owner+" gets a place", func() bool { return acquire(t, s, claim).Held })
}

func extend(t *testing.T, s limit.Store, key, owner string, ttl time.Duration) {
	t.Helper()
	if err := s.Extend(t.Context(), key, owner, ttl); err != nil {
		t.Fatalf("extend: %v", err)
	}
}

func release(t *testing.T, s limit.Store, key, owner string) {
	t.Helper()
	if err := s.Release(t.Context(), key, owner); err != nil {
		t.Fatalf("release: %v", err)
	}
}

func reserve(t *testing.T, s limit.Store, key string, rate limit.Rate, horizon time.Duration) time.Duration {
	t.Helper()
	wait, err := s.Reserve(t.Context(), key, rate, horizon)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	return wait
}

// lapse returns once so much time has passed on the store's clock.
func lapse(t *testing.T, s limit.Store, d time.Duration) {
	t.Helper()
	key := newKey()
	wantHeld(t, s, lock(key, "the clock", d))
	wantHeldInTheEnd(t, s, lock(key, "the next", time.Millisecond))
}

// eventually waits until it happened.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !happened() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
