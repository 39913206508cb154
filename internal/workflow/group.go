package workflow

import (
	"cmp"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// flatten returns the members of a group, those of groups in it in the place of these, with what the inner groups say of them.
func flatten(s *task.Signature) []task.Signature {
	flat := make([]task.Signature, 0, len(s.Tasks))
	for _, m := range s.Tasks {
		if m.Type != "group" || len(m.Chain) > 0 {
			flat = append(flat, m)
			continue
		}
		options := inherited(m.CallOptions)
		for i, inner := range flatten(&m) {
			inner.CallOptions = overlay(inner.CallOptions, options)
			inner.LinkError = slices.Concat(inner.LinkError, m.LinkError)
			if i == 0 {
				inner.Link = slices.Concat(inner.Link, fixed(m.Link))
			}
			if !inner.Immutable {
				inner.Args = slices.Concat(m.Args, inner.Args)
			}
			inner.Immutable = inner.Immutable || m.Immutable
			flat = append(flat, inner)
		}
	}
	return flat
}

// emitGroup adds the calls of a frozen group. Its own options hold for each member. With a chord they are those that its body waits for.
func (p *Plan) emitGroup(g task.Signature, chord *task.Signature, args []any) error {
	args = inFront(args, &g)
	chord = cmp.Or(chord, g.Chord)
	if chord != nil {
		if err := p.grow(0, len(g.Tasks)*weigh(chord)); err != nil {
			return err
		}
	}
	options := inherited(g.CallOptions)
	p.Calls = slices.Grow(p.Calls, len(g.Tasks))
	for i, m := range g.Tasks {
		m.CallOptions = overlay(m.CallOptions, options)
		m.Chain = ended(m.Chain, g.Chain)
		group := g.ID
		if chord == nil {
			group = cmp.Or(m.GroupID, group)
		}
		if err := p.emit(placed(m, group, i, chord), args); err != nil {
			return err
		}
	}
	return nil
}

// inFront are the arguments that go in front of those of a workflow's parts.
func inFront(args []any, s *task.Signature) []any {
	if s.Immutable {
		return s.Args
	}
	return slices.Concat(args, s.Args)
}

// ended hands on that nothing follows, which Celery says as an empty chain.
func ended(chain, outer []task.Signature) []task.Signature {
	if chain == nil && len(outer) == 0 {
		return outer
	}
	return chain
}

// placed puts a frozen signature in a group: the task whose result is the signature's.
func placed(s task.Signature, group string, index int, chord *task.Signature) task.Signature {
	switch s.Type {
	case "chain":
		s.Tasks = slices.Clone(s.Tasks)
		last := &s.Tasks[len(s.Tasks)-1]
		*last = placed(*last, group, index, chord)
		return s
	case "chord":
		body := placed(*s.Body, group, index, chord)
		s.Body = &body
		return s
	case "group":
		if chord != nil { // its members count for the chord
			s.ID, s.Tasks = group, slices.Clone(s.Tasks)
			for i, m := range s.Tasks { // Celery would put those of a chord's body in the group of the chord's header
				s.Tasks[i] = placed(m, group, placeIn(index, i), m.Chord)
			}
		}
	}
	s.GroupID, s.GroupIndex, s.Chord = group, index, chord
	return s
}

// placeIn is the place of the ith member of a group that has a place itself, or none: behind all that have one.
func placeIn(index, i int) int {
	if index < 0 {
		return index
	}
	return i
}

// weigh counts the signatures in one and those that follow.
func weigh(s *task.Signature) int {
	n := 1
	for _, list := range [][]task.Signature{s.Tasks, s.Link, s.LinkError, s.Chain} {
		for i := range list {
			n += weigh(&list[i])
		}
	}
	if s.Body != nil {
		n += weigh(s.Body)
	}
	if s.Chord != nil {
		n += weigh(s.Chord)
	}
	return n
}
