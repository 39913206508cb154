package wire_test

import (
	"fmt"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// A client of Celery that puts g|t|g|t|… together with | sends each chord in the body of the one before, and each body four times.
func TestChordsInBodiesOfChordsAreRead(t *testing.T) {
	t.Parallel()
	const chords = 6
	body := `{"task": "t", "args": [], "kwargs": {}, "options": {}}`
	for range chords {
		member := fmt.Sprintf(`{"task": "m", "options": {"chord": %s}}`, body)
		header := fmt.Sprintf(`{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [%s, %s]}, "options": {"chord": %s}}`, member, member, body)
		chord := fmt.Sprintf(`{"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": %s, "body": %s}}`, header, body)
		body = fmt.Sprintf(`{"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [{"task": "t"}, %s]}}`, chord)
	}
	if len(body) < 600_000 {
		t.Errorf("%d bytes are no challenge", len(body))
	}
	s, err := wire.DecodeSignature(codec.Raw(body), codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	for range chords {
		chord := &s.Tasks[1]
		header := &chord.Tasks[0]
		if header.Tasks[1].Chord == nil || header.Chord == nil || chord.Body == nil {
			t.Fatal("a body is missing")
		}
		s = *chord.Body
	}
	if s.Task != "t" {
		t.Errorf("the last body is %s", s.Task)
	}
}
