package workflow

import (
	"cmp"
	"errors"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// unroll returns what a chain calls one after the other, and what follows it. The steps of chains in it are among them. A group that
// something follows is the header of a chord (celery/canvas.py, prepare_steps).
func (p *Plan) unroll(s task.Signature) ([]task.Signature, error) {
	steps, err := p.splice(s)
	if err != nil {
		return nil, err
	}
	if steps = withoutEmpty(steps); len(steps) == 0 {
		return nil, errors.New("a chain has no steps")
	}
	for i := len(steps) - 2; i >= 0; i-- {
		if endsInGroup(steps[i]) {
			steps[i] = joined(steps[i], steps[i+1])
			steps = slices.Delete(steps, i+1, i+2)
		}
	}
	return steps, nil
}

// joined has a call follow a signature whose result is a group's, once all tasks of the group have ended.
func joined(s, next task.Signature) task.Signature {
	switch {
	case s.Type == "chain" && !isEmpty(s):
		return task.Signature{Task: "celery.chain", Type: "chain", Tasks: []task.Signature{s, next}}
	case s.Type == "chain": // what comes of it is an empty list
		s = task.Signature{Task: "celery.group", Type: "group"}
	case s.Type == "chord":
		s = settled(s)
		body := joined(*s.Body, next)
		s.Body = &body
		return s
	}
	return task.Signature{Task: "celery.chord", Type: "chord", Tasks: []task.Signature{s}, Body: &next}
}

// splice puts the steps of a chain in a list, and what the chain says of itself on them: its result is the last one's.
func (p *Plan) splice(s task.Signature) ([]task.Signature, error) {
	steps, err := p.spliceAll(s.Tasks)
	if err != nil {
		return nil, err
	}
	if steps = withoutEmpty(steps); len(steps) == 0 {
		return nil, errors.New("a chain has no steps")
	}
	if err := p.grow(len(steps)*len(s.LinkError), 0); err != nil {
		return nil, err
	}
	for i := range steps {
		steps[i].LinkError = slices.Concat(steps[i].LinkError, s.LinkError)
	}
	first, last := &steps[0], &steps[len(steps)-1]
	last.ID, last.Link = cmp.Or(last.ID, s.ID), slices.Concat(last.Link, s.Link)
	if s.Chord != nil || last.GroupID == "" && s.GroupID != "" {
		last.GroupID, last.GroupIndex = s.GroupID, s.GroupIndex
	}
	last.Chord = cmp.Or(s.Chord, last.Chord)
	first.CallOptions = overlay(first.CallOptions, inherited(s.CallOptions))
	if !first.Immutable {
		first.Args = slices.Concat(s.Args, first.Args)
	}
	first.Immutable = first.Immutable || s.Immutable
	rest, err := p.spliceAll(s.Chain)
	return slices.Concat(steps, rest), err
}

func (p *Plan) spliceAll(parts []task.Signature) ([]task.Signature, error) {
	steps := make([]task.Signature, 0, len(parts))
	for _, part := range parts {
		part = single(part)
		if part.Type != "chain" {
			steps = append(steps, part)
			continue
		}
		inner, err := p.splice(part)
		if err != nil {
			return nil, err
		}
		steps = append(steps, inner...)
	}
	return steps, nil
}

// single is the only member of a group that has just one: as a step of a chain it stands for itself.
func single(s task.Signature) task.Signature {
	for s.Type == "group" && len(s.Tasks) == 1 && len(s.Chain) == 0 {
		m := s.Tasks[0]
		m.CallOptions = overlay(m.CallOptions, inherited(s.CallOptions))
		m.Link, m.LinkError = slices.Concat(m.Link, s.Link), slices.Concat(m.LinkError, s.LinkError)
		if s.Chord != nil {
			m.GroupID, m.GroupIndex, m.Chord = s.GroupID, s.GroupIndex, s.Chord
		}
		if !m.Immutable {
			m.Args = slices.Concat(s.Args, m.Args)
		}
		m.Immutable = m.Immutable || s.Immutable
		s = m
	}
	return s
}

// withoutEmpty leaves out groups without members, and chains of such, unless there is nothing else.
func withoutEmpty(steps []task.Signature) []task.Signature {
	full := make([]task.Signature, 0, len(steps))
	for _, s := range steps {
		if !isEmpty(s) {
			full = append(full, s)
		}
	}
	if len(full) == 0 {
		return steps[:min(len(steps), 1)]
	}
	return full
}

func isEmpty(s task.Signature) bool {
	return (s.Type == "group" || s.Type == "chain") && !slices.ContainsFunc(s.Tasks, func(m task.Signature) bool { return !isEmpty(m) })
}

// endsInGroup reports whether the result of a signature is a group's, so that what follows has to wait for several tasks.
func endsInGroup(s task.Signature) bool {
	switch s.Type {
	case "group":
		return true
	case "chain":
		steps := withoutEmpty(s.Tasks)
		return len(steps) > 0 && endsInGroup(single(steps[len(steps)-1]))
	case "chord":
		return s.Body != nil && endsInGroup(*s.Body)
	}
	return false
}
