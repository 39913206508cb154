package amqp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestWhoWaitsAtTheGatePassesWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	for name, makeRoom := range map[string]func(*gate){
		"a delivery is settled":       (*gate).leave,
		"a stale delivery is settled": func(g *gate) { g.leaveStale() },
		"the limit is raised":         func(g *gate) { g.resize(2) },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(1)
			if ok, err := g.pass(t.Context(), nil); !ok || err != nil {
				t.Fatalf("%s: pass = %v, %v where there is room", name, ok, err)
			}
			g.expire(1)
			passed := make(chan bool, 1)
			go func() {
				ok, _ := g.pass(t.Context(), nil)
				passed <- ok
			}()
			synctest.Wait()
			if len(passed) > 0 {
				t.Errorf("%s: two passed a gate for one", name)
			}
			makeRoom(g)
			if !<-passed {
				t.Errorf("%s: pass = false", name)
			}
		})
	}
}

func TestWhoWaitsAtTheGateMayGiveUp(t *testing.T) {
	t.Parallel()
	g := newGate(0)
	ended := make(chan struct{})
	close(ended)
	if ok, err := g.pass(t.Context(), ended); ok || err != nil {
		t.Errorf("pass = %v, %v after the end", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := g.pass(ctx, nil); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("pass = %v, %v, want that it was cancelled", ok, err)
	}
}
