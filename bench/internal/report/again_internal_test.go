package report

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func TestThePageSaysWhatWasMeasuredAgain(t *testing.T) {
	t.Parallel()
	run := result.Run{Again: []result.Again{{Began: time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC), Scenarios: []string{"drain", "send"}}}}
	const want = "Measured again at 05:06 on 2026-03-04, by themselves: drain, send."
	if got := machine(run); !strings.HasSuffix(got, want) {
		t.Errorf("the page says %q, want it to end with %q", got, want)
	}
}
