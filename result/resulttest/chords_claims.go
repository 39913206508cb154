package resulttest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

func claim(t *testing.T, j result.Joiner, id, claim string, want bool) {
	t.Helper()
	if got, err := j.ClaimBody(t.Context(), id, claim); err != nil || got != want {
		t.Errorf("claim %s = %t, %v; want %t", claim, got, err, want)
	}
}

func testClaim(t *testing.T, j joiners) {
	id := uuid.NewString()
	for range 2 {
		claim(t, j.here, id, "first", true)
		claim(t, j.there, id, "second", false)
		claim(t, j.there, id, "first", true)
		claim(t, j.here, id, "second", false)
	}
}

func testClaimsSeparate(t *testing.T, j joiners) {
	a, b := uuid.NewString(), uuid.NewString()
	claim(t, j.here, a, "one", true)
	claim(t, j.there, b, "two", true)
	claim(t, j.there, a, "two", false)
	claim(t, j.here, b, "one", false)
	wantState(t, j.here.(result.Backend), a, task.Pending) // a claim is no outcome
}

func testManyClaim(t *testing.T, j joiners) {
	id := uuid.NewString()
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		to := []result.Joiner{j.here, j.there}[i%2]
		wg.Go(func() {
			first, err := to.ClaimBody(t.Context(), id, fmt.Sprint(i))
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			if first {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d claims won", won.Load())
	}
}
