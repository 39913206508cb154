package lab_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func TestTheMedianIsOneOfTheRuns(t *testing.T) {
	t.Parallel()
	rates := func(rates ...float64) (runs []result.Measure) {
		for _, r := range rates {
			runs = append(runs, result.Measure{Rate: r, Memory: int64(r)})
		}
		return runs
	}
	for _, c := range []struct {
		runs []result.Measure
		want float64
	}{{rates(3), 3}, {rates(9, 1), 1}, {rates(9, 1, 5), 5}, {rates(4, 3, 2, 1), 2}} {
		if m := lab.Median(c.runs); m.Rate != c.want || m.Memory != int64(c.want) || m.Runs != len(c.runs) {
			t.Errorf("median of %d runs = %+v, want that of %g", len(c.runs), m, c.want)
		}
	}
	waits := func(p50 time.Duration) result.Measure {
		return result.Measure{Rate: 1 / p50.Seconds(), Waits: &result.Waits{P50: p50}}
	}
	if m := lab.Median([]result.Measure{waits(1), waits(3), waits(2), waits(5)}); m.Waits.P50 != 2 {
		t.Errorf("median wait = %s, want 2 ns", m.Waits.P50)
	}
}

func newLab(t *testing.T, cfg lab.Config) *lab.Lab {
	t.Helper()
	cfg.Root = "../.."
	l, err := lab.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestCasesAreMeasuredInTurnAndSizedByTheRoundBefore(t *testing.T) {
	t.Parallel()
	var order []string
	var tasks []int
	measure := func(_ context.Context, c lab.Case) (result.Measure, error) {
		order, tasks = append(order, c.Subject.Name), append(tasks, c.Tasks)
		return result.Measure{Subject: c.Subject.Name, Rate: 2000}, nil
	}
	plan := lab.Plan{Rounds: 3, Seconds: 2}
	a, b := lab.Case{Subject: lab.Subject{Name: "a", Speed: 1000}}, lab.Case{Subject: lab.Subject{Name: "b"}, Tasks: 7}
	measures := newLab(t, lab.Config{}).InTurn(t.Context(), plan, measure, a, b)
	if want := []string{"a", "b", "a", "b", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
	if want := []int{2000, 7, 4000, 7, 4000, 7}; !slices.Equal(tasks, want) {
		t.Errorf("tasks = %v, want %v", tasks, want)
	}
	if len(measures) != 2 || measures[0].Runs != 3 || measures[1].Subject != "b" {
		t.Errorf("measures = %+v", measures)
	}
}

func TestACaseThatFailedOnceHasFailed(t *testing.T) {
	t.Parallel()
	round := 0
	measure := func(_ context.Context, c lab.Case) (result.Measure, error) {
		if round++; round == 2 {
			return result.Measure{}, errors.New("a task is missing")
		}
		return result.Measure{Rate: 1, Subject: c.Subject.Name}, nil
	}
	measures := newLab(t, lab.Config{}).InTurn(t.Context(), lab.Plan{Rounds: 3}, measure, lab.Case{Subject: lab.Subject{Name: "a"}})
	if round != 2 || len(measures) != 1 || measures[0].Failed != "a task is missing" || measures[0].Rate != 0 || measures[0].Subject != "a" {
		t.Errorf("after %d rounds: %+v", round, measures)
	}
}

func TestNoRoundBeginsWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	rounds := 0
	measure := func(context.Context, lab.Case) (result.Measure, error) {
		rounds++
		return result.Measure{Rate: 1}, nil
	}
	plan := lab.Plan{Rounds: 3, Budget: 1}
	if measures := newLab(t, lab.Config{}).InTurn(t.Context(), plan, measure, lab.Case{}); rounds != 1 || measures[0].Runs != 1 {
		t.Errorf("%d rounds, %+v", rounds, measures)
	}
}
