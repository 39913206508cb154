package chaos_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/chaos"
)

// tale makes evidence by hand, in seconds since its beginning.
type tale struct{ chaos.Evidence }

func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func (e *tale) sent(id string, kind chaos.Kind, outcome chaos.Outcome, begin float64) {
	e.Sent = append(e.Sent, chaos.Sent{ID: id, Kind: kind, Outcome: outcome, Begin: at(begin), End: at(begin + 0.01)})
}

func (e *tale) ran(id string, pid int, begin float64, events ...chaos.Event) {
	for i, event := range append([]chaos.Event{chaos.Started}, events...) {
		e.Ran = append(e.Ran, chaos.Ran{ID: id, PID: pid, Event: event, At: at(begin + 0.01*float64(i))})
	}
}

// healthy is a run in which ten tasks go right and a fault between the seconds 5 and 6 meets the task t5.
func healthy() *tale {
	e := &tale{}
	e.Rows = map[string]int{}
	for i := range 10 {
		id, kind := fmt.Sprintf("t%d", i), chaos.Step
		if i%2 == 0 {
			kind = chaos.Visit
			e.Rows[id] = 1
		}
		e.sent(id, kind, chaos.Accepted, float64(i))
		e.ran(id, 1, float64(i)+0.1, chaos.Done)
	}
	e.Windows = []chaos.Window{{Fault: "cut", Begin: at(5), End: at(6), Limit: 2}}
	return e
}

func TestCheckFlagsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*tale)
		want   string // in a problem; "": none
	}{
		"all is well":         {func(*tale) {}, ""},
		"lost":                {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3) }, "1 lost"},
		"cut off is not done": {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3); e.ran("x", 1, 3) }, "1 lost"},
		"a body of one message": {func(e *tale) {
			e.sent("x", chaos.Chord, chaos.Accepted, 5.1)
			e.ran("x", 1, 5.2, "claim:a")
			e.ran("x", 2, 5.3, "claim:a", chaos.Done)
		}, ""},
		"a body of two messages": {func(e *tale) {
			e.sent("x", chaos.Chord, chaos.Accepted, 5.1)
			e.ran("x", 1, 5.2, "claim:a", chaos.Done)
			e.ran("x", 2, 5.3, "claim:b", chaos.Done)
		}, "ran for more than one message: x (2)"},
		"failed is not done":  {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3); e.ran("x", 1, 3, chaos.Failed) }, "1 lost"},
		"unknown may be lost": {func(e *tale) { e.sent("x", chaos.Step, chaos.Unknown, 3) }, ""},
		"unknown, then accepted, and lost": {func(e *tale) {
			e.sent("x", chaos.Step, chaos.Unknown, 3)
			e.sent("x", chaos.Step, chaos.Accepted, 4)
		}, "1 lost"},
		"rejected":              {func(e *tale) { e.sent("x", chaos.Step, chaos.Rejected, 3) }, ""},
		"innocent dead letters": {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3); e.Dead = []string{"x"} }, "1 in the dead letters that did nothing wrong"},
		"left in the queue":     {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3); e.Left = []string{"x"} }, "1 left"},
		"removed by hand":       {func(e *tale) { e.sent("x", chaos.Step, chaos.Accepted, 3); e.Removed = 1 }, ""},
		"more than were removed": {func(e *tale) {
			e.sent("x", chaos.Step, chaos.Accepted, 3)
			e.sent("y", chaos.Step, chaos.Accepted, 3)
			e.Removed = 1
		}, "2 lost"},
		"phantom":               {func(e *tale) { e.ran("x", 1, 3, chaos.Done) }, "nobody sent"},
		"twice without a fault": {func(e *tale) { e.ran("t1", 1, 8, chaos.Done) }, "no fault met"},
		"twice with a fault":    {func(e *tale) { e.ran("t5", 2, 7, chaos.Done) }, ""},
		"three times with a fault": {func(e *tale) {
			e.ran("t5", 2, 7, chaos.Done)
			e.ran("t5", 2, 8, chaos.Done)
			e.ran("t5", 2, 9, chaos.Done)
		}, "no fault met"},
		"more twice than in flight": {func(e *tale) {
			for i := range 3 {
				id := fmt.Sprintf("x%d", i)
				e.sent(id, chaos.Step, chaos.Accepted, 2)
				e.ran(id, 1, 5.5, chaos.Done)
				e.ran(id, 1, 7, chaos.Done)
			}
		}, "more than the 2"},
		"twice with a harmless fault": {func(e *tale) { e.ran("t5", 2, 7, chaos.Done); e.Windows[0].Harmless = true }, "no fault met"},
		"nothing done after a fault": {func(e *tale) {
			e.Windows = append(e.Windows, chaos.Window{Fault: "stall", Begin: at(7), End: at(9.05)})
		}, "no task was accepted after: stall"},
		"one excuse is one excuse": {func(e *tale) {
			e.ran("t5", 2, 7, chaos.Done)
			e.ran("t5", 2, 7.5, chaos.Done)
			e.ran("t5", 2, 8, chaos.Done)
		}, "t5 (3 times more)"},
		"a retry of what was done twice": {func(e *tale) {
			e.sent("x", chaos.Retry, chaos.Accepted, 2)
			e.ran("x", 1, 5, chaos.Retrying)
			e.ran("x", 2, 7, chaos.Retrying)
			for i := range 2 {
				e.Ran = append(e.Ran, chaos.Ran{ID: "x", Retries: 1, PID: 1, Event: chaos.Started, At: at(8)})
				e.Ran = append(e.Ran, chaos.Ran{ID: "x", Retries: 1, PID: 1, Event: chaos.Done, At: at(8 + float64(i))})
			}
		}, ""},
		"moved twice by a broker that died": {func(e *tale) {
			e.sent("x", chaos.Later, chaos.Accepted, 4)
			e.ran("x", 1, 7, chaos.Done)
			e.ran("x", 1, 8, chaos.Done)
			e.Windows[0].Moves = true
		}, ""},
		"waiting is no excuse when the broker lives": {func(e *tale) {
			e.sent("x", chaos.Later, chaos.Accepted, 4)
			e.ran("x", 1, 7, chaos.Done)
			e.ran("x", 1, 8, chaos.Done)
		}, "no fault met"},
		"came late without a reason":  {func(e *tale) { e.Left = []string{"t8"} }, "no fault met"},
		"early and cut off":           {func(e *tale) { e.sent("x", chaos.Early, chaos.Accepted, 4); e.ran("x", 1, 4.9) }, ""},
		"early and never started":     {func(e *tale) { e.sent("x", chaos.Early, chaos.Accepted, 4) }, "1 lost"},
		"early and cut off by nobody": {func(e *tale) { e.sent("x", chaos.Early, chaos.Accepted, 7); e.ran("x", 1, 7) }, "1 lost"},
		"a panic ends its task":       {func(e *tale) { e.sent("x", chaos.Panic, chaos.Accepted, 3); e.ran("x", 1, 3, chaos.Failed) }, ""},
		"a retry is another attempt": {func(e *tale) {
			e.sent("x", chaos.Retry, chaos.Accepted, 2)
			e.ran("x", 1, 2, chaos.Retrying)
			e.Ran = append(e.Ran, chaos.Ran{ID: "x", Retries: 1, PID: 1, Event: chaos.Started, At: at(3)})
			e.Ran = append(e.Ran, chaos.Ran{ID: "x", Retries: 1, PID: 1, Event: chaos.Done, At: at(3.1)})
		}, ""},
		"a retry that never came": {func(e *tale) {
			e.sent("x", chaos.Retry, chaos.Accepted, 2)
			e.ran("x", 1, 2, chaos.Retrying)
		}, "1 lost"},
		"a retry asked for twice": {func(e *tale) {
			e.sent("x", chaos.Retry, chaos.Accepted, 2)
			e.ran("x", 1, 2, chaos.Retrying)
			e.ran("x", 1, 3, chaos.Retrying)
			e.ran("x", 1, 4, chaos.Done)
		}, "no fault met"},
		"no row":          {func(e *tale) { delete(e.Rows, "t2") }, "t2 (0)"},
		"two rows":        {func(e *tale) { e.Rows["t2"] = 2 }, "t2 (2)"},
		"a row of nobody": {func(e *tale) { e.Rows["x"] = 1 }, "x (1)"},
		"poison in its place": {func(e *tale) {
			e.sent("x", chaos.Crash, chaos.Accepted, 2)
			e.Dead, e.Poison = []string{"x"}, []string{"x"}
		}, ""},
		"poison not parked": {func(e *tale) { e.Poison = []string{"x"} }, "1 not in the dead letters"},
		"poison that went round": {func(e *tale) {
			e.sent("x", chaos.Crash, chaos.Accepted, 2)
			e.Dead, e.Poison = []string{"x"}, []string{"x"}
			for i := range 4 {
				e.ran("x", i, 2+float64(i))
			}
		}, "run 4 times"},
		"poison that was done": {func(e *tale) { e.Dead, e.Poison = []string{"t1"}, []string{"t1"} }, "1 done that should have been parked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := healthy()
			c.change(e)
			got := strings.Join(chaos.Check(e.Evidence).Problems, "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckMeasuresRecovery(t *testing.T) {
	t.Parallel()
	e := healthy() // healed at 6; t6 is accepted at 6.01, done at 6.11
	if got, want := chaos.Check(e.Evidence).Recovery.Round(time.Millisecond), 110*time.Millisecond; got != want {
		t.Errorf("recovery %s, want %s", got, want)
	}
	e.Windows = append(e.Windows, chaos.Window{Fault: "kill", Begin: at(7), End: at(8.2)})
	if got, want := chaos.Check(e.Evidence).Recovery.Round(time.Millisecond), 910*time.Millisecond; got != want {
		t.Errorf("recovery %s, want %s: the longest one", got, want)
	}
	e.Windows = append(e.Windows, chaos.Window{Fault: "kill", Begin: at(8.5), End: at(8.9)})
	if got, want := chaos.Check(e.Evidence).Recovery.Round(time.Millisecond), 210*time.Millisecond; got != want {
		t.Errorf("recovery %s, want %s: the fault at 8.5 came before the one at 8.2 was over", got, want)
	}
}

func TestLedgersReadAsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sent := chaos.Sent{ID: "a-1", Kind: chaos.Visit, Outcome: chaos.Unknown, Begin: at(1), End: at(2)}
	ran := chaos.Ran{ID: "a-1", Retries: 3, Event: chaos.Done, PID: 42, At: at(3)}
	for _, path := range []string{"sent", "ran-1", "ran-2"} {
		l, err := chaos.OpenLedger(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if path == "sent" {
			err = l.Sent(sent)
		} else {
			err = l.Ran(ran)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	gotSent, err := chaos.ReadSent(filepath.Join(dir, "sent"))
	if err != nil || len(gotSent) != 1 || gotSent[0] != sent {
		t.Errorf("read %v, %v; want %v", gotSent, err, sent)
	}
	gotRan, err := chaos.ReadRan(dir)
	if err != nil || len(gotRan) != 2 || gotRan[0] != ran || gotRan[1] != ran {
		t.Errorf("read %v, %v; want two of %v", gotRan, err, ran)
	}
}
