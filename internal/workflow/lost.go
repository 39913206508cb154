package workflow

import (
	"cmp"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// Lost returns the tasks of a signature that will never run, and of what follows it: somebody may wait for the outcome of each, and a
// chord for those that have a Chord. They have what their messages would have had: ID, ReplyTo, GroupID, GroupIndex, arguments.
//
// LinkError is set where errbacks are to be called when the signature is the body of a chord that has failed: of what would have
// been called first. When it is the rest of a chain whose step has failed, none are, as the step's own are called for the whole chain.
func Lost(s task.Signature) []task.Signature {
	var l lost
	l.add(s, true)
	return l
}

type lost []task.Signature

func (l *lost) add(s task.Signature, errbacks bool) {
	switch {
	case s.Type == "chain" && len(s.Tasks) > 0:
		l.chain(s, errbacks)
	case s.Type == "group":
		l.group(s, errbacks)
	case s.Type == "chord" && s.Body != nil:
		l.chord(s, errbacks)
	default: // a task, or what can be nothing else
		if !errbacks {
			s.LinkError = nil
		}
		l.rest(s.Chain)
		s.Chain = nil
		*l = append(*l, s)
	}
}

func (l *lost) rest(chain []task.Signature) {
	for _, s := range chain {
		l.add(s, false)
	}
}

func (l *lost) chain(s task.Signature, errbacks bool) {
	l.rest(s.Chain)
	steps := withoutEmpty(s.Tasks)
	for i, step := range steps {
		step = single(step)
		if i == 0 {
			step.LinkError = slices.Concat(step.LinkError, s.LinkError)
		}
		if i == len(steps)-1 {
			step.ID = cmp.Or(step.ID, s.ID)
			step = belonging(step, s.GroupID, s.GroupIndex, s.Chord)
		}
		l.add(step, errbacks && i == 0)
	}
}

func (l *lost) group(s task.Signature, errbacks bool) {
	l.rest(s.Chain)
	for i, m := range flatten(&s) {
		m.LinkError = slices.Concat(m.LinkError, s.LinkError)
		if s.Chord != nil {
			m = belonging(m, cmp.Or(s.GroupID, s.ID), i, s.Chord)
		}
		l.add(m, errbacks)
	}
}

// chord adds the header and the body. The header's tasks count for nothing: their chord has not begun.
func (l *lost) chord(s task.Signature, errbacks bool) {
	l.rest(s.Chain)
	from := len(*l)
	l.group(headerOf(s), false)
	for i := range (*l)[from:] {
		(*l)[from+i].Chord = nil
	}
	l.add(*settled(s).Body, errbacks)
}

// belonging is what stands for a workflow, in the chord to which that belongs.
func belonging(s task.Signature, group string, index int, chord *task.Signature) task.Signature {
	if s.GroupID == "" || chord != nil {
		s.GroupID, s.GroupIndex = group, index
	}
	s.Chord = cmp.Or(chord, s.Chord)
	return s
}
