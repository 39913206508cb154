package postgres

import (
	"testing"
	"time"
)

func TestLooksSoonThenLessOftenAndNeverForMoreThanATenthOfTheTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	// round is one of follow that begins now and takes so long.
	round := func(l look, took time.Duration) time.Duration {
		l.begin, l.end, l.slowest = now, now.Add(took), time.Second
		now = l.end
		return p.next(l)
	}
	want := func(what string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: the next look is in %s, want %s", what, got, want)
		}
	}
	want("somebody begins to wait", round(look{fresh: true}, 0), 100*time.Millisecond)
	now = now.Add(60 * time.Millisecond)
	want("an announcement puts nothing off", round(look{}, 0), 40*time.Millisecond)
	for _, ms := range []int{200, 400, 800, 1000, 1000} {
		now = p.due
		want("nothing happens", round(look{all: true}, 0), time.Duration(ms)*time.Millisecond)
	}
	now = now.Add(100 * time.Millisecond)
	want("somebody else begins to wait", round(look{fresh: true}, 0), 100*time.Millisecond)
	now = p.due
	want("a look takes long", round(look{all: true}, 300*time.Millisecond), 3*time.Second)
	now = p.due
	want("the server is away", round(look{failed: true}, 0), 100*time.Millisecond)
	want("still", round(look{failed: true, fresh: true}, 0), 200*time.Millisecond)
}
