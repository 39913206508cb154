package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestARateIsChangedAtRunTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("1/h"))
		h := start(t, plan{tasks: []task.Definition{limited}})
		count := func(rate string, want int) {
			t.Helper()
			if err := h.worker.SetRateLimit("tasks.work", rate); err != nil {
				t.Fatal(err)
			}
			before := len(s.of(""))
			for range 50 {
				h.send(limited.S(""))
			}
			time.Sleep(10 * time.Second)
			if got := len(s.of("")) - before; got < want-2 || got > want+2 {
				t.Errorf("%d starts in 10 s at the rate %q, want about %d", got, rate, want)
			}
		}
		count("1/s", 11)
		count("", 50+10) // and those whose turns at the old rate come
		time.Sleep(time.Minute)
		if got := len(s.of("")); got != 100 {
			t.Errorf("%d starts, want all 100", got)
		}
	})
}

func TestRateLimitsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("1/h"))
		h := start(t, plan{opts: worker.Options{DisableRateLimits: true}, tasks: []task.Definition{limited}})
		for range 50 {
			h.send(limited.S(""))
		}
		synctest.Wait()
		if got := len(s.of("")); got != 50 {
			t.Errorf("%d starts, want 50", got)
		}
	})
}

func TestLimitsOfUnknownTasksCannotBeChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		if err := h.worker.SetRateLimit("no.such", "1/s"); !errors.Is(err, task.ErrNotRegistered) {
			t.Errorf("rate limit: %v", err)
		}
		if err := h.worker.SetTimeLimits("no.such", 1, 2); !errors.Is(err, task.ErrNotRegistered) {
			t.Errorf("time limits: %v", err)
		}
		if err := h.worker.SetTimeLimits("tasks.add", 2, 1); err == nil {
			t.Error("a soft limit above the hard one is taken")
		}
		if err := h.worker.SetRateLimit("tasks.add", "often"); err == nil {
			t.Error("a rate that cannot be read is taken")
		}
	})
}

func TestTimeLimitsAreChangedAtRunTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plain := task.New("tasks.plain", func(ctx context.Context, _ none) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, task.SoftTimeLimit(time.Hour))
		h := start(t, plan{opts: worker.Options{Pool: pool.Threads, Concurrency: 1}, tasks: []task.Definition{plain}})
		if err := h.worker.SetTimeLimits("tasks.plain", 2*time.Second, 3*time.Second); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		h.wantFailure(h.send(plain.S(none{}, task.SoftTimeLimit(0))), "SoftTimeLimitExceeded")
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the new limit of 2 s ended it after %s", took)
		}
	})
}

func TestTheOperatorChangesLimitsWithoutTheirCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		named := work(&s, task.RateLimit("100/s", task.PerArgument("arg")))
		other := task.New("tasks.other", func(ctx context.Context, _ none) (none, error) {
			<-ctx.Done()
			return none{}, ctx.Err()
		}, task.SoftTimeLimit(time.Hour))
		h := start(t, plan{tasks: []task.Definition{named, other}, opts: worker.Options{Concurrency: 4, Tasks: map[string]worker.TaskOptions{
			"tasks.work": {RateLimit: "1/s"}, "*": {SoftTimeLimit: time.Second}, "no.such": {RateLimit: "1/h"},
		}}})
		for range 5 {
			h.send(named.S("a"))
			h.send(named.S("b"))
		}
		began := time.Now()
		h.wantFailure(h.send(task.Signature{Task: "tasks.other"}), "SoftTimeLimitExceeded")
		if took := time.Since(began); took != time.Second {
			t.Errorf("the operator's limit of 1 s ended it after %s", took)
		}
		time.Sleep(10 * time.Second)
		for _, key := range []string{"a", "b"} { // what is counted together stays
			wantRate(t, s.of(key), time.Second, 1)
			if got := len(s.of(key)); got != 5 {
				t.Errorf("key %s: %d starts, want 5", key, got)
			}
		}
	})
}

func TestSettingsOfTasksThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]worker.TaskOptions{
		"Invalid rate limit string": {RateLimit: "often"}, "negative": {TimeLimit: -1}, "above the hard one": {SoftTimeLimit: 2, TimeLimit: 1},
	} {
		err := worker.Options{Tasks: map[string]worker.TaskOptions{"tasks.add": o}}.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tasks.add") {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
