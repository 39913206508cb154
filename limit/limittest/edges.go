package limittest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/limit"
)

func testApart(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	for _, k := range []string{key, key + " ", key + "{a}", strings.ToUpper(key), "{" + key + "}", key + "\x00", key + "%", key + "*"} {
		wantHeld(t, s, lock(k, "a", long))
		if wait := reserve(t, s, k, limit.Rate{Every: long}, 0); wait != 0 {
			t.Errorf("the first turn of %q is in %s", k, wait)
		}
	}
	release(t, s, key, "a")
	wantRefused(t, s, lock(key+" ", "b", long), "a")
	wantHeld(t, s, lock(key, "b", long))
}

func testNames(t *testing.T, h Harness) {
	here, there := open(t, h), open(t, h)
	unique := newKey()
	for _, odd := range []string{
		" ", "with spaces ", `"quotes' and \`, "日本語 ключ 🔑", "a:b:c", "{}", "line\nbreak", "nul\x00", "\xff\xfe not UTF-8", "$1 %s ?",
		strings.Repeat("k", limit.MaxLength-len(unique)),
	} {
		key := unique + odd
		wantHeld(t, here, lock(key, odd, long))
		wantRefused(t, there, lock(key, "b", long), odd)
		extend(t, there, key, odd, long)
		release(t, there, key, odd)
		wantHeld(t, there, lock(key, "b", long))
		if wait := reserve(t, here, key, limit.Rate{Every: long}, long); wait != 0 {
			t.Errorf("the first turn of %q is in %s", key, wait)
		}
		if wait := reserve(t, there, key, limit.Rate{Every: long}, 0); wait == 0 {
			t.Errorf("the second turn of %q is now", key)
		}
	}
}

func testInvalid(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	valid := lock(key, "a", long)
	with := func(change func(*limit.Claim)) error {
		claim := valid
		change(&claim)
		_, err := s.Acquire(t.Context(), claim)
		return err
	}
	turn := func(key string, rate limit.Rate, horizon time.Duration) error {
		_, err := s.Reserve(t.Context(), key, rate, horizon)
		return err
	}
	tooLong := strings.Repeat("k", limit.MaxLength+1)
	for what, err := range map[string]error{
		"no key":                   with(func(c *limit.Claim) { c.Key = "" }),
		"a long key":               with(func(c *limit.Claim) { c.Key = tooLong }),
		"no owner":                 with(func(c *limit.Claim) { c.Owner = "" }),
		"a long owner":             with(func(c *limit.Claim) { c.Owner = tooLong }),
		"no places":                with(func(c *limit.Claim) { c.Places = 0 }),
		"negative places":          with(func(c *limit.Claim) { c.Places = -1 }),
		"no time":                  with(func(c *limit.Claim) { c.TTL = 0 }),
		"negative time":            with(func(c *limit.Claim) { c.TTL = -1 }),
		"extending no key":         s.Extend(t.Context(), "", "a", long),
		"extending for no owner":   s.Extend(t.Context(), key, "", long),
		"extending by no time":     s.Extend(t.Context(), key, "a", 0),
		"releasing no key":         s.Release(t.Context(), "", "a"),
		"releasing for no owner":   s.Release(t.Context(), key, ""),
		"a turn of no key":         turn("", limit.Rate{Every: long}, long),
		"a turn of a long key":     turn(tooLong, limit.Rate{Every: long}, long),
		"turns without a distance": turn(key, limit.Rate{}, long),
		"turns that go back":       turn(key, limit.Rate{Every: -1}, long),
		"a negative burst":         turn(key, limit.Rate{Every: long, Burst: -1}, long),
		"a negative horizon":       turn(key, limit.Rate{Every: long}, -1),
	} {
		if !errors.Is(err, limit.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	wantHeld(t, s, valid)
	if wait := reserve(t, s, key, limit.Rate{Every: long}, 0); wait != 0 {
		t.Errorf("the first turn after all those that were refused is in %s", wait)
	}
}

// all makes each call, which may take so long, and returns their errors by name.
func all(ctx context.Context, most time.Duration, s limit.Store, key string) map[string]error {
	errs := map[string]error{}
	within := func(what string, call func(context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		errs[what] = call(ctx)
	}
	within("acquire", func(ctx context.Context) error { _, err := s.Acquire(ctx, lock(key, "a", long)); return err })
	within("extend", func(ctx context.Context) error { return s.Extend(ctx, key, "a", long) })
	within("reserve", func(ctx context.Context) error { _, err := s.Reserve(ctx, key, limit.Rate{Every: long}, 0); return err })
	within("release", func(ctx context.Context) error { return s.Release(ctx, key, "a") })
	return errs
}

func testContext(t *testing.T, h Harness) {
	s := open(t, h)
	key := newKey()
	release(t, s, key, "a") // so that it is connected
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range all(ctx, patience, s, key) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's end", what, err)
		}
	}
	for what, err := range all(t.Context(), patience, s, key) {
		if err != nil {
			t.Errorf("%s afterwards: %v", what, err)
		}
	}
}

func testOutage(t *testing.T, h Harness) {
	for way, frail := range h.Frail {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			testAway(t, frail(t))
		})
	}
}

func testAway(t *testing.T, frail Frail) {
	t.Helper()
	s := closing(t, frail.Store)
	key, kept := newKey(), newKey()
	wantHeld(t, s, lock(kept, "a", long))
	frail.Break()
	for what, err := range all(t.Context(), 3*short, s, key) {
		if !errors.Is(err, limit.ErrUnavailable) {
			t.Errorf("%s while the store is away: %v, want ErrUnavailable", what, err)
		}
	}
	frail.Mend()
	eventually(t, "the store is back", func() bool {
		_, err := s.Acquire(t.Context(), lock(key, "a", long))
		if err != nil && !errors.Is(err, limit.ErrUnavailable) {
			t.Fatalf("acquire: %v, want ErrUnavailable at the most", err)
		}
		return err == nil
	})
	wantRefused(t, s, lock(kept, "b", long), "a")
	for what, err := range all(t.Context(), patience, s, newKey()) {
		if err != nil {
			t.Errorf("%s afterwards: %v", what, err)
		}
	}
}

func testClose(t *testing.T, h Harness) {
	s, other := h.Open(t), h.Open(t)
	key := newKey()
	wantHeld(t, s, lock(key, "a", long))
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		for what, err := range all(t.Context(), patience, s, key) {
			if !errors.Is(err, limit.ErrClosed) {
				t.Errorf("%s after close: %v, want ErrClosed", what, err)
			}
		}
	}
	if err := other.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

// testVanish lets many keys be used once. What they leave is gone after a while of other use.
func testVanish(t *testing.T, h Harness) {
	s, count := h.Counted(t)
	closing(t, s)
	const n = 100
	for i := range n {
		wantHeld(t, s, lock(fmt.Sprint("place ", i), "a", 10*short))
		if wait := reserve(t, s, fmt.Sprint("turn ", i), limit.Rate{Every: 5 * short, Burst: 2}, 0); wait != 0 {
			t.Errorf("turn %d is in %s", i, wait)
		}
		if got := count(); i == 0 && got != 2 {
			t.Errorf("%d keys are counted after 2 were used", got)
		}
	}
	eventually(t, "what is not used any more is gone", func() bool {
		wantHeld(t, s, lock("used", "b", long))
		reserve(t, s, "used", limit.Rate{Every: time.Millisecond}, long)
		release(t, s, "used", "b")
		return count() <= 2
	})
}

// testSkew opens one handle where it is the year 2000. If that one's clock had any say, its places would be free long ago, or for ever.
func testSkew(t *testing.T, h Harness) {
	if !h.OwnClock {
		return // all its processes have the same
	}
	here := open(t, h)
	ours, theirs, turns := newKey(), newKey(), newKey()
	rate := limit.Rate{Every: long}
	wantHeld(t, here, lock(ours, "here", long))
	if wait := reserve(t, here, turns, rate, 0); wait != 0 {
		t.Errorf("the first turn is in %s", wait)
	}
	ctx := t.Context()
	synctest.Test(t, func(t *testing.T) {
		if year := time.Now().Year(); year != 2000 {
			t.Fatalf("a bubble begins in %d, want a clock that is wrong", year)
		}
		there := h.Open(t)
		wantRefused(t, there, lock(ours, "there", long), "here")
		wantHeld(t, there, lock(theirs, "there", long))
		if wait := reserve(t, there, turns, rate, 10*long); wait > long || wait < long-patience {
			t.Errorf("the second turn is in %s, want %s", wait, long)
		}
		if err := there.Close(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	wantRefused(t, here, lock(theirs, "here", long), "there")
	if wait := reserve(t, here, turns, rate, 10*long); wait > 2*long || wait < 2*long-patience {
		t.Errorf("the third turn is in %s, want %s", wait, 2*long)
	}
}

func testKilled(t *testing.T, h Harness) {
	if h.Hold == nil {
		return // who is killed takes the store along
	}
	s := open(t, h)
	claim := lock(newKey(), "the dead", 10*short)
	start := time.Now()
	kill := h.Hold(t, claim)
	kill()
	claim.Owner = "the heir"
	first := acquire(t, s, claim)
	wantHeldInTheEnd(t, s, claim)
	switch got := time.Since(start); {
	case got < 10*short:
		t.Errorf("the place of %s was free after %s", claim.TTL, got)
	case !first.Held && first.Holder != "the dead":
		t.Errorf("the heir got %+v at first, want to hear of the dead", first)
	}
}
