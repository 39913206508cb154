package resulttest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

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

// testRace lets many write the outcome of one task at once: a success that anybody has seen is what everybody sees from then on.
func testRace(t *testing.T, h Harness) {
	here, there := pair(t, h)
	id := uuid.NewString()
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for _, b := range []result.Backend{here, there} {
		readers.Go(func() { onlyOneSuccess(t, b, id, stop) })
	}
	const n = 25
	for i := range n {
		b := []result.Backend{here, there}[i%2]
		writers.Go(func() { store(t, b, failure(id)) })
		writers.Go(func() { store(t, b, success(id, fmt.Sprint(i))) })
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	wantState(t, here, id, task.Success)
}

// onlyOneSuccess looks until it is told to stop, and once more.
func onlyOneSuccess(t *testing.T, b result.Backend, id string, stop <-chan struct{}) {
	t.Helper()
	var first task.Meta
	for last := false; ; {
		m, err := b.Get(t.Context(), id)
		switch {
		case err != nil:
			t.Errorf("get: %v", err)
			return
		case first.State == task.Success && (m.State != task.Success || string(m.Result) != string(first.Result)):
			t.Errorf("the success %s was overwritten by a %s %s", first.Result, m.State, m.Result)
			return
		}
		first = m
		if last {
			return
		}
		select {
		case <-stop:
			last = true
		default:
		}
	}
}

// testOverwrite: only a success stays, so that a late state of an earlier run may follow a failure (celery/backends/base.py).
func testOverwrite(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	late := failure(id)
	late.State, late.DoneAt = task.Retried, time.Time{}
	revoked := failure(id)
	revoked.State = task.Revoked
	for _, m := range []task.Meta{
		{ID: id, State: task.Started, Result: codec.Raw(`{"pid": 1, "hostname": "w1@host"}`)},
		{ID: id, State: "MIXING", Result: codec.Raw(`50`)},
		failure(id), late, revoked,
		{ID: id, State: task.Started, Result: codec.Raw(`null`)},
		failure(id), success(id, `1`),
	} {
		same(t, b, m)
	}
}
