package result_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func TestWhatIsMeasuredAgainTakesThePlaceOfWhatWasThere(t *testing.T) {
	t.Parallel()
	row := func(variant, subject, setting string, rate float64) result.Measure {
		return result.Measure{Scenario: result.Drain, Variant: variant, Subject: subject, Setting: setting, Rate: rate}
	}
	before := result.Run{Mode: "full", Measures: []result.Measure{row("", "bare", "", 1), row("", "taskq", "-c 10", 2), row("slots=1", "taskq", "-c 10", 3)}}
	later := result.Run{Began: time.Unix(1_800_000_000, 0), Measures: []result.Measure{row("", "taskq", "-c 10", 20), row("", "taskq", "-c 1", 30)}}
	got := before.With(later, []string{"drain"})
	want := result.Run{
		Mode: "full", Again: []result.Again{{Began: later.Began, Scenarios: []string{"drain"}}},
		Measures: []result.Measure{row("", "bare", "", 1), row("", "taskq", "-c 10", 20), row("slots=1", "taskq", "-c 10", 3), row("", "taskq", "-c 1", 30)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if before.Measures[1].Rate != 2 || before.Again != nil {
		t.Errorf("the run before has changed: %+v", before)
	}
}
