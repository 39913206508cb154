package workflow

import (
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// Unlock is the call that looks whether all tasks of a chord's header have ended and has the body follow them, for stores that do not
// count them. It is sent before the header (celery/backends/base.py, fallback_chord_unlock).
//
// Its queue is that of the body, when that names one: the sender takes the one to which the body's task is routed otherwise.
func (p *Plan) Unlock(c Chord) task.Signature {
	header := make([]any, len(c.Header.Members))
	for i := range c.Header.Members {
		header[i] = tuple(&c.Header.Members[i])
	}
	first := firstOf(&c.Body)
	s := task.Signature{
		Task: "celery.chord_unlock", Args: []any{c.Header.ID, c.Body},
		Kwargs: map[string]any{"interval": nil, "max_retries": nil, "result": header},
	}
	s.Queue, s.Exchange, s.RoutingKey, s.Priority, s.Given = first.Queue, first.Exchange, first.RoutingKey, first.Priority, first.Given
	s.Countdown = time.Second
	task.IgnoreResult()(&s.CallOptions)
	p.identify(&s, "unlock/"+c.Header.ID)
	s.ParentID = p.origin.ParentID
	return s
}

// firstOf is the first call of a frozen signature.
func firstOf(s *task.Signature) *task.Signature {
	for len(s.Tasks) > 0 {
		s = &s.Tasks[0]
	}
	return s
}

// tuple is a result as Celery writes it.
func tuple(ref *task.Ref) any {
	if ref == nil {
		return nil
	}
	var members any
	if ref.Group {
		list := make([]any, len(ref.Members))
		for i := range ref.Members {
			list[i] = tuple(&ref.Members[i])
		}
		members = list
	}
	return []any{[]any{ref.ID, tuple(ref.Parent)}, members}
}
