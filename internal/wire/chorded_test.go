package wire_test

import (
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// The broker drops what it has waited for too long, and tells nobody; a chord would wait for it.
func TestWhatAChordWaitsForHasNoTimeToLive(t *testing.T) {
	t.Parallel()
	now := time.Now()
	body := task.Signature{Task: "body"}
	member := task.Signature{Task: "step", CallOptions: task.CallOptions{Chord: &body}}
	inner := task.Signature{Task: "body", CallOptions: task.CallOptions{Chord: &body}}
	chord := task.Signature{Task: "celery.chord", Type: "chord", Tasks: []task.Signature{{Task: "step"}}, Body: &inner}
	for name, tt := range map[string]struct {
		options task.CallOptions
		want    time.Duration
	}{
		"a call":                            {task.CallOptions{}, time.Minute},
		"a call of a header":                {task.CallOptions{Chord: &body}, 0},
		"a chain":                           {task.CallOptions{Chain: []task.Signature{{Task: "step"}, {Task: "step"}}}, time.Minute},
		"a chain in a header":               {task.CallOptions{Chain: []task.Signature{{Task: "step"}, member}}, 0},
		"a chain in a header, with a chord": {task.CallOptions{Chain: []task.Signature{{Task: "step"}, chord}}, 0},
		"a chain with a chord":              {task.CallOptions{Chain: []task.Signature{member, {Task: "step"}}}, time.Minute},
	} {
		tt.options.ID, tt.options.ExpiresIn = "1", time.Minute
		msg, err := wire.Encode(wire.Outgoing{Signature: task.Signature{Task: "t", CallOptions: tt.options}, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if msg.Expiration != tt.want || msg.Headers["expires"] == nil {
			t.Errorf("%s: time to live %s, header %v; want %s and the header", name, msg.Expiration, msg.Headers["expires"], tt.want)
		}
		req, err := wire.Decode(broker.NewDelivery(msg, nil), codec.NewSet(codec.JSON{}), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := wire.Retry(req, time.Time{}, now); err != nil || (again.Expiration == 0) != (tt.want == 0) {
			t.Errorf("%s: the next try has the time to live %s, %v", name, again.Expiration, err)
		}
		if wire.Chorded(req) != (tt.want == 0) {
			t.Errorf("%s: Chorded = %v", name, wire.Chorded(req))
		}
	}
}
