package cli

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

// place holds what is parked under these ids; a look at it may fail.
type place struct {
	ids    []string
	failed error
}

func (p *place) Parked(_ context.Context, show func(broker.Parked) bool) error {
	for _, id := range p.ids {
		if !show(broker.Parked{Message: broker.Message{CorrelationID: id}}) {
			break
		}
	}
	return p.failed
}

func (p *place) Unpark(_ context.Context, match func(broker.Parked) bool) (int, error) {
	before := len(p.ids)
	p.ids = slices.DeleteFunc(p.ids, func(id string) bool { return match(broker.Parked{Message: broker.Message{CorrelationID: id}}) })
	return before - len(p.ids), p.failed
}

func TestSeveralPlacesAreLookedThroughAsOne(t *testing.T) {
	t.Parallel()
	all := parkings{&place{ids: []string{"a", "b"}}, &place{ids: []string{"c", "d"}}}
	for _, last := range []string{"a", "b", "c", "d"} {
		var seen []string
		err := all.Parked(t.Context(), func(m broker.Parked) bool {
			seen = append(seen, m.CorrelationID)
			return m.CorrelationID != last
		})
		if want := []string{"a", "b", "c", "d"}; err != nil || !slices.Equal(seen, want[:slices.Index(want, last)+1]) {
			t.Errorf("until %s: %v was shown, %v", last, seen, err)
		}
	}
	n, err := all.Unpark(t.Context(), func(m broker.Parked) bool { return m.CorrelationID != "b" })
	if n != 3 || err != nil {
		t.Errorf("%d were taken back, %v, want 3", n, err)
	}
}

// One place that fails does not keep the others from being looked through when something is taken back.
func TestAPlaceThatFailsIsToldOf(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	all := parkings{&place{ids: []string{"a"}, failed: away}, &place{ids: []string{"b"}}}
	if err := all.Parked(t.Context(), func(broker.Parked) bool { return true }); !errors.Is(err, away) {
		t.Errorf("error = %v, want %v", err, away)
	}
	if n, err := all.Unpark(t.Context(), func(broker.Parked) bool { return true }); n != 2 || !errors.Is(err, away) {
		t.Errorf("%d were taken back, %v, want 2 and %v", n, err, away)
	}
}
