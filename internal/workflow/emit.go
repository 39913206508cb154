package workflow

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// emit adds the calls that a frozen signature starts with, args in front of its own arguments.
func (p *Plan) emit(s task.Signature, args []any) error {
	switch s.Type {
	case "chain":
		first := s.Tasks[0]
		first.CallOptions = overlay(first.CallOptions, inherited(s.CallOptions))
		first.Chain = slices.Clone(s.Tasks[1:]) // it may be empty, never nil: as in Celery
		return p.emit(first, args)
	case "group":
		return p.emitGroup(s, nil, args)
	case "chord":
		return p.emitChord(s, args)
	}
	s.Args = inFront(args, &s)
	s.ParentID, s.RootID = p.origin.ParentID, cmp.Or(p.origin.RootID, s.ID)
	p.Calls = append(p.Calls, s)
	return p.grow(0, len(s.Chain))
}

// emitChord adds a chord and the calls of its header; the calls of the body when there are none to wait for.
func (p *Plan) emitChord(s task.Signature, args []any) error {
	options := inherited(s.CallOptions)
	header := s.Tasks[0]
	header.CallOptions = overlay(header.CallOptions, options)
	ref := refOf(&header)

	options.Countdown, options.ETA = 0, time.Time{} // the header has waited
	body := *s.Body
	body.CallOptions = overlay(body.CallOptions, options)
	body, err := p.after(body, s.Chain, header.ID)
	if err != nil {
		return err
	}
	if groupOf(&body) == "" {
		body = placed(body, header.ID, -1, nil)
	}
	args = inFront(args, &s)
	if len(ref.Tasks()) == 0 {
		if err := p.emitGroup(header, nil, args); err != nil { // there may be chords in it that have nothing for a body
			return err
		}
		return p.emit(body, []any{results(ref)})
	}
	p.Chords = append(p.Chords, Chord{Header: ref, Body: body})
	return p.emitGroup(header, &body, args)
}

// after has the rest of a chain follow the body of a chord. They are one chain, as when Celery puts it together with |: when the chord
// fails, its workers store the failure for the chain's last step.
func (p *Plan) after(body task.Signature, rest []task.Signature, gid string) (task.Signature, error) {
	if len(rest) == 0 {
		body.Chain = ended(body.Chain, rest)
		return body, nil
	}
	if body.Type == "group" {
		body, rest = joined(body, rest[0]), rest[1:]
	}
	chain := task.Signature{Task: "celery.chain", Type: "chain", Tasks: []task.Signature{body}}
	chain.Chain = rest
	return p.freezeChain(chain, "after/"+gid)
}

// groupOf is the group of the task whose result is that of the frozen signature.
func groupOf(s *task.Signature) string {
	switch s.Type {
	case "chain":
		return groupOf(&s.Tasks[len(s.Tasks)-1])
	case "chord":
		return groupOf(s.Body)
	}
	return s.GroupID
}

// results is what comes of a group without tasks: a list, with those of groups in it.
func results(ref task.Ref) []any {
	list := []any{}
	for _, m := range ref.Members {
		list = append(list, results(m))
	}
	return list
}
