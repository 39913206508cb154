package limittest

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/limit"
)

// given is a turn, and between which times by this process's clock it was asked for.
type given struct {
	asked, answered time.Time
	wait            time.Duration
}

// testTurns asks from several processes at once. Each turn's own time is known as well as the call took.
func testTurns(t *testing.T, h Harness) {
	const callers, each = 30, 20
	handles := []limit.Store{open(t, h), open(t, h), open(t, h)}
	key := newKey()
	var mu sync.Mutex
	var turns []given
	var wg sync.WaitGroup
	for i := range callers {
		s := handles[i%len(handles)]
		wg.Go(func() {
			last := time.Duration(-1)
			for range each {
				g := given{asked: time.Now()}
				var err error
				if g.wait, err = s.Reserve(t.Context(), key, limit.Rate{Every: long}, callers*each*long); err != nil {
					t.Errorf("reserve: %v", err)
					return
				}
				g.answered = time.Now()
				if g.wait <= last {
					t.Errorf("a turn in %s came after one in %s", g.wait, last)
				}
				last = g.wait
				mu.Lock()
				turns = append(turns, g)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(turns) != callers*each {
		t.Fatalf("%d turns were given, want %d", len(turns), callers*each)
	}
	wantApart(t, turns, long)
}

// wantApart checks that the turns follow each other by so much: the k-th is k times that after the first.
func wantApart(t *testing.T, turns []given, every time.Duration) {
	t.Helper()
	slices.SortFunc(turns, func(a, b given) int { return cmp.Compare(a.wait, b.wait) })
	first := turns[0]
	for k, turn := range turns {
		want := time.Duration(k) * every
		if earliest := turn.asked.Add(turn.wait).Sub(first.answered.Add(first.wait)); earliest > want {
			t.Errorf("turn %d is %s after the first at the least, want %s", k, earliest, want)
		}
		if latest := turn.answered.Add(turn.wait).Sub(first.asked.Add(first.wait)); latest < want-time.Millisecond {
			t.Errorf("turn %d is %s after the first at the most, want %s", k, latest, want)
		}
	}
}

func testBurst(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	rate := limit.Rate{Every: short, Burst: 3}
	// whoever asks for it gets a burst of exactly three, however often
	for range 2 {
		lapse(t, s, 4*short)
		for i := range 3 {
			if wait := reserve(t, s, key, rate, 0); wait != 0 {
				t.Errorf("turn %d of the burst is in %s, want now", i+1, wait)
			}
		}
	}
	rate.Every, key = long, newKey()
	for i, want := range []time.Duration{0, 0, 0, long, 2 * long} {
		if wait := reserve(t, s, key, rate, 10*long); wait > want || wait < want-patience {
			t.Errorf("turn %d is in %s, want %s", i+1, wait, want)
		}
	}
	alone := newKey()
	for i, want := range []time.Duration{0, long} { // without a burst
		if wait := reserve(t, s, alone, limit.Rate{Every: long}, 10*long); wait > want || wait < want-patience {
			t.Errorf("turn %d without a burst is in %s, want %s", i+1, wait, want)
		}
	}
}

func testHorizon(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	rate := limit.Rate{Every: long}
	if wait := reserve(t, here, key, rate, 0); wait != 0 {
		t.Errorf("the first turn is in %s", wait)
	}
	for range 3 { // refused ones take nothing
		for _, s := range []limit.Store{here, there} {
			if wait := reserve(t, s, key, rate, long/2); wait <= long/2 || wait > long {
				t.Errorf("the next turn is in %s, want about %s", wait, long)
			}
		}
	}
	if wait := reserve(t, there, key, rate, long); wait > long || wait < long-patience {
		t.Errorf("a turn within the horizon is in %s, want about %s", wait, long)
	}
	if wait := reserve(t, here, key, rate, long); wait <= long || wait > 2*long {
		t.Errorf("the one after it is in %s, want about %s", wait, 2*long)
	}
}

func testNewRate(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	key := newKey()
	for i, step := range []struct {
		every, want time.Duration
	}{
		{24 * long, 0},
		{long, long}, // counted from the last turn
		{2 * long, 3 * long},
		{time.Minute, 3*long + time.Minute}, // the turns that were given stay before it
	} {
		s := []limit.Store{here, there}[i%2]
		if wait := reserve(t, s, key, limit.Rate{Every: step.every}, 100*long); wait > step.want || wait < step.want-patience/2 {
			t.Errorf("turn %d, one every %s, is in %s, want %s", i+1, step.every, wait, step.want)
		}
	}
}

func testHuge(t *testing.T, h Harness) {
	s := open(t, h)
	const most = time.Duration(math.MaxInt64)
	key := newKey()
	wantHeld(t, s, limit.Claim{Key: key, Owner: "a", Places: math.MaxInt, TTL: most})
	wantRefused(t, s, lock(key, "b", most), "a")
	extend(t, s, key, "a", most)
	wantRefused(t, s, lock(key, "b", most), "a")

	for _, rate := range []limit.Rate{{Every: most}, {Every: most, Burst: 1}} {
		key = newKey()
		if wait := reserve(t, s, key, rate, 0); wait != 0 {
			t.Errorf("the first turn of %+v is in %s", rate, wait)
		}
		if wait := reserve(t, s, key, rate, 10*365*24*long); wait < 40*365*24*long {
			t.Errorf("the second turn of %+v is in %s", rate, wait)
		}
		wantTurnsUntilTooFar(t, s, key, rate)
	}
	for _, rate := range []limit.Rate{{Every: 1}, {Every: most, Burst: math.MaxInt}, {Every: 1, Burst: math.MaxInt}} {
		key = newKey()
		for range 2 {
			if wait := reserve(t, s, key, rate, patience); wait < 0 || wait > time.Millisecond {
				t.Errorf("a turn of %+v is in %s, want now", rate, wait)
			}
		}
	}
}

// wantTurnsUntilTooFar reserves far ahead: each turn is much later than the one before, until it is said to be too far, and never that it
// was given when it was not.
func wantTurnsUntilTooFar(t *testing.T, s limit.Store, key string, rate limit.Rate) {
	t.Helper()
	last := time.Duration(0)
	for n := range 10 {
		wait, err := s.Reserve(t.Context(), key, rate, math.MaxInt64)
		if n > 0 && errors.Is(err, limit.ErrInvalid) {
			return
		}
		if err != nil || wait < last+40*365*24*long {
			t.Errorf("turn %d of %+v is in %s, %v; the one before is in %s", n+2, rate, wait, err, last)
		}
		last = wait
	}
	t.Errorf("turns of %+v are given until in %s", rate, last)
}
