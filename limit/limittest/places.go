package limittest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/limit"
)

func testOnePlace(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	wantHeld(t, here, lock(key, "a", long))
	wantRefused(t, there, lock(key, "b", long), "a")
	wantRefused(t, here, lock(key, "b", long), "a")
}

// testManyOwners lets owners come and go from several processes, and counts them.
func testManyOwners(t *testing.T, h Harness) {
	const places, owners, rounds = 5, 50, 10
	handles := []limit.Store{open(t, h), open(t, h), open(t, h)}
	key := newKey()
	var inside, most, turns atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range owners {
		s := handles[i%len(handles)]
		claim := limit.Claim{Key: key, Owner: fmt.Sprint("owner ", i), Places: places, TTL: long}
		wg.Go(func() {
			for round := 0; round < rounds && !t.Failed(); {
				g, err := s.Acquire(ctx, claim)
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if !g.Held {
					continue
				}
				most.Store(max(most.Load(), inside.Add(1)))
				turns.Add(1)
				round++
				inside.Add(-1)
				if err := s.Release(t.Context(), key, claim.Owner); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got > places {
		t.Errorf("%d held one of %d places at once", got, places)
	}
	if got := turns.Load(); got != owners*rounds {
		t.Errorf("%d places were given, want %d", got, owners*rounds)
	}
	testFull(t, handles, key, places)
}

// testFull lets many want a place that is kept, at once: as many get one as there are.
func testFull(t *testing.T, handles []limit.Store, key string, places int) {
	t.Helper()
	var held atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		s := handles[i%len(handles)]
		wg.Go(func() {
			g, err := s.Acquire(t.Context(), limit.Claim{Key: key, Owner: fmt.Sprint("keeper ", i), Places: places, TTL: long})
			if err != nil {
				t.Errorf("acquire: %v", err)
			}
			if g.Held {
				held.Add(1)
			} else if g.Holder == "" {
				t.Error("who was refused does not learn of any holder")
			}
		})
	}
	wg.Wait()
	if got := held.Load(); got != int64(places) {
		t.Errorf("%d got one of %d places", got, places)
	}
}

func testExpiry(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	start := time.Now()
	wantHeld(t, here, lock(key, "a", 2*short))
	wantHeldInTheEnd(t, there, lock(key, "b", long))
	if got := time.Since(start); got < 2*short {
		t.Errorf("the place of %s was free after %s", 2*short, got)
	}
	wantRefused(t, here, lock(key, "a", long), "b")

	// the same beside a place that is kept
	claim := func(owner string, ttl time.Duration) limit.Claim {
		return limit.Claim{Key: key + "2", Owner: owner, Places: 2, TTL: ttl}
	}
	wantHeld(t, here, claim("a", long))
	wantHeld(t, here, claim("b", short))
	wantHeldInTheEnd(t, there, claim("c", short))
	wantRefusedByOneOf(t, here, claim("d", long), "a", "c")
	lapse(t, here, 2*short)
	wantHeld(t, there, claim("c", long)) // its former place is no claim to this one
	wantRefusedByOneOf(t, here, claim("d", long), "a", "c")
}

// wantRefusedByOneOf is wantRefused for several holders.
func wantRefusedByOneOf(t *testing.T, s limit.Store, claim limit.Claim, holders ...string) {
	t.Helper()
	if g := acquire(t, s, claim); g.Held || !slices.Contains(holders, g.Holder) {
		t.Fatalf("%s got %+v, want none: %v hold the places", claim.Owner, g, holders)
	}
}

func testExtend(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	wantHeld(t, here, lock(key, "a", 10*short))
	extend(t, here, key, "a", long)
	lapse(t, there, 11*short)
	wantRefused(t, there, lock(key, "b", long), "a")
	extend(t, here, key, "a", long)
}

func testExtendShorter(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	wantHeld(t, s, lock(key, "a", long))
	extend(t, s, key, "a", short)
	wantHeldInTheEnd(t, s, lock(key, "b", long))
}

func testLost(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	wantLost := func(owner string) {
		t.Helper()
		if err := s.Extend(t.Context(), key, owner, long); !errors.Is(err, limit.ErrLost) {
			t.Errorf("%s extends what it does not hold: %v, want ErrLost", owner, err)
		}
	}
	wantLost("a") // it was never taken
	claim := func(owner string, ttl time.Duration) limit.Claim {
		return limit.Claim{Key: key, Owner: owner, Places: 2, TTL: ttl}
	}
	wantHeld(t, s, claim("other", long))
	wantHeld(t, s, claim("a", short))
	lapse(t, s, 2*short)
	wantLost("a") // it is over, though nobody has it
	wantHeld(t, s, claim("b", long))
	wantLost("a") // another one has it
	wantRefusedByOneOf(t, s, claim("c", long), "b", "other")
	release(t, s, key, "b")
	wantLost("b") // it was given back
	wantHeld(t, s, claim("c", long))
	wantRefusedByOneOf(t, s, claim("d", long), "c", "other")
}

func testRelease(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	claim := func(owner string) limit.Claim { return limit.Claim{Key: key, Owner: owner, Places: 2, TTL: long} }
	wantHeld(t, here, claim("a"))
	wantHeld(t, there, claim("b"))
	wantRefusedByOneOf(t, here, claim("c"), "a", "b")
	release(t, here, key, "a")
	release(t, here, key, "a") // and once more, as after a lost answer
	wantHeld(t, there, claim("c"))
	wantRefusedByOneOf(t, here, claim("a"), "b", "c")
}

// testStranger: a holder that was late finds its place with somebody else, and must not take it from them.
func testStranger(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	wantHeld(t, here, lock(key, "a", short))
	wantHeldInTheEnd(t, there, lock(key, "b", long))
	release(t, here, key, "a")
	release(t, here, key, "nobody")
	release(t, here, newKey(), "b")
	wantRefused(t, there, lock(key, "c", long), "b")
}

func testAgain(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	again := func(claim limit.Claim) {
		t.Helper()
		if g := acquire(t, there, claim); g != (limit.Grant{Held: true}) {
			t.Errorf("%s got %+v, want the place that it has", claim.Owner, g)
		}
	}
	later, sooner := newKey(), newKey()
	wantHeld(t, here, lock(later, "a", 10*short))
	again(lock(later, "a", long))
	wantHeld(t, here, lock(sooner, "a", long))
	again(lock(sooner, "a", short))
	lapse(t, here, 11*short)
	wantRefused(t, here, lock(later, "b", long), "a")
	wantRefused(t, here, lock(sooner, "b", long), "a")

	claim := limit.Claim{Key: newKey(), Owner: "a", Places: 2, TTL: long}
	wantHeld(t, here, claim)
	again(claim)
	claim.Owner = "b"
	wantHeld(t, here, claim) // a has one of the two
	release(t, here, later, "a")
	wantHeld(t, there, lock(later, "b", long)) // and has left with one release
}

func testPlacesChange(t *testing.T, h Harness) {
	s := open(t, h)
	claim := limit.Claim{Key: newKey(), TTL: long}
	want := func(owner string, places int, held bool) {
		t.Helper()
		claim.Owner, claim.Places = owner, places
		if g := acquire(t, s, claim); g.Held != held {
			t.Errorf("%s got %+v of %d places, want held = %t", owner, g, places, held)
		}
	}
	want("a", 1, true)
	want("b", 1, false)
	want("b", 3, true)
	want("c", 3, true)
	want("d", 3, false)
	want("c", 1, true) // what it has it keeps
	want("d", 1, false)
	release(t, s, claim.Key, "a")
	want("d", 2, false) // b and c
	want("d", 1, false)
	release(t, s, claim.Key, "b")
	want("d", 1, false)
	want("d", 2, true)
}
