package report

import (
	"regexp"
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func TestTheSettingsOfAKnobStandInTheirOrder(t *testing.T) {
	t.Parallel()
	var run result.Run
	for _, variant := range []string{"prefetch=10", "prefetch=250", "prefetch=60", "pool=threads", "pool=solo"} {
		run.Measures = append(run.Measures, result.Measure{Scenario: result.Knobs, Variant: variant, Subject: result.Taskq, Tasks: 1, Rate: 1})
	}
	for knob, want := range map[string][]string{
		"prefetch": {"prefetch=10", "prefetch=60", "prefetch=250"},
		"pool":     {"pool=threads", "pool=solo"},
	} {
		if got := regexp.MustCompile(knob+`=\w+`).FindAllString(knobs(run)[knob].markdown(), -1); !slices.Equal(got, want) {
			t.Errorf("rows: %v, want %v", got, want)
		}
	}
}
