package task_test

import (
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// celery/utils/time.py: get_exponential_backoff_interval(factor=1, retries, maximum=600, full_jitter=False).
func TestBackoffIsCelerys(t *testing.T) {
	t.Parallel()
	p := task.RetryPolicy{Backoff: time.Second, NoJitter: true}
	for retries, want := range map[int]int64{0: 1, 1: 2, 2: 4, 5: 32, 9: 512, 10: 600, 39: 600, 40: 600, 1000: 600} {
		if got := p.Wait(retries); got != time.Duration(want)*time.Second {
			t.Errorf("wait after %d retries = %s, want %d s", retries, got, want)
		}
	}
	p.BackoffMax = 10 * time.Second
	if got := p.Wait(7); got != 10*time.Second {
		t.Errorf("capped wait = %s, want 10s", got)
	}
}

func TestJitterIsDrawnFromTheWholeDelay(t *testing.T) {
	t.Parallel()
	p := task.RetryPolicy{Backoff: time.Second}
	low, high := time.Hour, time.Duration(0)
	for range 2000 {
		w := p.Wait(3)
		if w < 0 || w > 8*time.Second {
			t.Fatalf("wait = %s, outside of 0 to 8 s", w)
		}
		low, high = min(low, w), max(high, w)
	}
	if low > time.Second || high < 7*time.Second {
		t.Errorf("2000 draws lie between %s and %s: not the whole of 0 to 8 s", low, high)
	}
}

func TestRetryDefaultsAreCelerys(t *testing.T) {
	t.Parallel()
	var p task.RetryPolicy
	if p.Wait(0) != 180*time.Second {
		t.Errorf("delay = %s, want 180 s", p.Wait(0))
	}
	if !p.Allows(2) || p.Allows(3) {
		t.Errorf("three retries are allowed: after 2 %t, after 3 %t", p.Allows(2), p.Allows(3))
	}
	if p = (task.RetryPolicy{Max: -1}); !p.Allows(1 << 30) {
		t.Error("a negative Max has an end")
	}
}
