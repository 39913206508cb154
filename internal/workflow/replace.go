package workflow

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"github.com/seed-399731e2/taskq/task"
)

// Replace adds the calls of a signature that takes the place of the task, with its id, for whoever waits for it or comes after it: its
// chord, its links, its errbacks and the rest of its chain are those of the signature. One whose result is a group's is followed by
// celery.accumulate, which makes one result of it (celery/app/task.py, Task.replace).
//
// Other than with Celery the answer goes to who waits for the task, and a task is not its own parent.
func (p *Plan) Replace(req *task.Request, f Followers, s task.Signature) (task.Ref, error) {
	if s.Chord != nil {
		return task.Ref{}, errors.New("a signature that takes the place of a task must not belong to a chord")
	}
	nesting := req.ReplacedNesting + 1
	if endsInGroup(s) {
		s = joined(s, task.Signature{Task: "celery.accumulate", Kwargs: map[string]any{"index": 0}})
	}
	s = each(entitled(s, req.ID), func(c *task.Signature) {
		c.ReplacedNesting = nesting
		c.CallOptions = overlay(c.CallOptions, task.CallOptions{StampedHeaders: req.StampedHeaders, Stamps: req.Stamps, GroupIndex: c.GroupIndex})
	})
	s.Chord, s.GroupID, s.GroupIndex = f.Chord, req.Group, req.GroupIndex
	s.Link, s.LinkError = slices.Concat(s.Link, f.Links), slices.Concat(s.LinkError, f.Errbacks)
	if f.Chain != nil {
		s.Chain = append(slices.Concat([]task.Signature{}, s.Chain), allOf(f.Chain, func(c *task.Signature) { c.ReplacedNesting = nesting })...)
	}
	p.origin.ParentID, p.origin.RootID, p.origin.ReplyTo = req.ParentID, cmp.Or(req.RootID, req.ID), req.ReplyTo
	return p.apply(s, nil, "replace/"+strconv.Itoa(nesting))
}

// Extend adds the calls of a signature that the chord of the task waits for as well, as the nth that the task gives it, and returns the
// ids of the tasks for result.Joiner's GrowChord (celery/app/task.py, Task.add_to_chord).
func (p *Plan) Extend(req *task.Request, f Followers, s task.Signature, n int) ([]string, error) {
	if f.Chord == nil || req.Group == "" {
		return nil, errors.New("the task belongs to no chord")
	}
	place := "extend"
	if req.ReplacedNesting > 0 { // what took the place of a task has its id, and what both add is not the same
		place += "." + strconv.Itoa(req.ReplacedNesting)
	}
	s, err := p.freeze(s, at(place, n))
	if err != nil {
		return nil, err
	}
	s = placed(s, req.Group, -1, f.Chord) // no place in the header, where Celery gives it the place of the task: what is added stands behind
	return refOf(&s).Tasks(), p.emit(s, nil)
}

// entitled gives the id to the task whose result is that of the signature.
func entitled(s task.Signature, id string) task.Signature {
	switch {
	case s.Type == "chain" && len(s.Tasks) > 0:
		s.Tasks = slices.Clone(withoutEmpty(s.Tasks))
		last := &s.Tasks[len(s.Tasks)-1]
		*last = entitled(single(*last), id)
	case s.Type == "chord" && s.Body != nil:
		body := entitled(*s.Body, id)
		s.Body = &body
	default:
		s.ID = id
	}
	return s
}

// each changes the calls that a signature is made of, in a copy.
func each(s task.Signature, change func(*task.Signature)) task.Signature {
	if s.Type == "" {
		change(&s)
		return s
	}
	s.Tasks = allOf(s.Tasks, change)
	if s.Body != nil {
		body := each(*s.Body, change)
		s.Body = &body
	}
	return s
}

func allOf(list []task.Signature, change func(*task.Signature)) []task.Signature {
	list = slices.Clone(list)
	for i, s := range list {
		list[i] = each(s, change)
	}
	return list
}
