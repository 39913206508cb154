package chaos_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/chaos"
)

func TestCheckFlagsWhatRanWhenItMustNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*tale)
		want   string // in a problem; "": none
	}{
		"rolled back":             {func(e *tale) { e.sent("x", chaos.Undone, chaos.Rejected, 3) }, ""},
		"rolled back and run":     {func(e *tale) { e.sent("x", chaos.Undone, chaos.Rejected, 3); e.ran("x", 1, 4, chaos.Done) }, "1 undone were run"},
		"committed and lost":      {func(e *tale) { e.sent("x", chaos.Row, chaos.Accepted, 3) }, "1 lost"},
		"revoked":                 {func(e *tale) { e.sent("x", chaos.Revoked, chaos.Accepted, 3) }, ""},
		"revoked and run":         {func(e *tale) { e.sent("x", chaos.Revoked, chaos.Accepted, 3); e.ran("x", 1, 6) }, "1 revoked were run"},
		"after its time":          {func(e *tale) { e.sent("x", chaos.Foreign, chaos.Accepted, 3); e.ran("x", 1, 5.1, chaos.Done) }, ""},
		"before its time":         {func(e *tale) { e.sent("x", chaos.Foreign, chaos.Accepted, 3); e.ran("x", 1, 4.9, chaos.Done) }, "1 started before"},
		"one after the other":     {held(chaos.Single, hold{"a1", 3, 4}, hold{"b1", 4, 5}), ""},
		"at once, of two keys":    {held(chaos.Single, hold{"a1", 3, 4}, hold{"b2", 3.5, 5}), ""},
		"at once, of one key":     {held(chaos.Single, hold{"a1", 3, 4}, hold{"b1", 3.5, 5}), "1 single ran while 1 others"},
		"two at once in places":   {held(chaos.Placed, hold{"a1", 3, 4}, hold{"b1", 3.5, 5}), ""},
		"three at once in places": {held(chaos.Placed, hold{"a1", 3, 4}, hold{"b1", 3.5, 5}, hold{"c1", 3.6, 5}), "1 placed ran while 2 others"},
		"one call twice at once":  {held(chaos.Single, hold{"a1", 5, 6}, hold{"a1", 5.5, 7}), ""},
		"cut off, and the key taken": {func(e *tale) {
			e.sent("a1", chaos.Only, chaos.Accepted, 2)
			e.ran("a1", 1, 5) // killed
			held(chaos.Only, hold{"b1", 5.5, 5.6}, hold{"a1", 6, 7})(e)
		}, "1 only ran while 1 others"},
		"as fast as the rate":    {starts(40, 25*time.Millisecond), ""},
		"half a second at once":  {starts(21, 0), ""},
		"more than that at once": {starts(24, 0), "24 started within 0s"},
		"faster than the rate":   {starts(120, 20*time.Millisecond), "more than the"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := healthy()
			e.Wait, e.Slots = 2*time.Second, 2
			c.change(e)
			got := strings.Join(chaos.Check(e.Evidence).Problems, "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

// hold is a call that ran between two times. The last letter of the id is its key.
type hold struct {
	id         string
	begin, end float64
}

// held has calls of a kind run, each in a process of its own.
func held(kind chaos.Kind, all ...hold) func(*tale) {
	return func(e *tale) {
		for i, h := range all {
			e.sent(h.id, kind, chaos.Accepted, 2)
			e.Ran = append(e.Ran, chaos.Ran{ID: h.id, PID: 10 + i, Event: chaos.Started, At: at(h.begin)},
				chaos.Ran{ID: h.id, PID: 10 + i, Event: chaos.Done, At: at(h.end)})
		}
	}
}

// starts has n calls of the kind with a rate start, one every so often.
func starts(n int, every time.Duration) func(*tale) {
	return func(e *tale) {
		for i := range n {
			id := fmt.Sprintf("r%d", i)
			e.sent(id, chaos.Rated, chaos.Accepted, 2)
			e.ran(id, 1, 3+every.Seconds()*float64(i), chaos.Done)
		}
	}
}
