package workflow

import (
	"cmp"
	"errors"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// freeze gives ids to a signature and to all that it is made of, and brings it into the form in which it is applied: a chain has two steps
// or more, none of which is a chain, and groups only at its end; a group has no groups in it; the header of a chord is one group. What is
// frozen already stays as it is.
func (p *Plan) freeze(s task.Signature, place string) (task.Signature, error) {
	switch s.Type {
	case "":
		p.identify(&s, place)
		return s, p.grow(1, 0)
	case "chain":
		return p.freezeChain(s, place)
	case "group":
		if len(s.Chain) > 0 {
			return p.freezeChain(followed(s), place)
		}
		return p.freezeGroup(s, place)
	case "chord":
		return p.freezeChord(s, place)
	}
	return s, unsupported("a " + s.Type)
}

func (p *Plan) freezeChain(s task.Signature, place string) (task.Signature, error) {
	steps, err := p.unroll(s)
	if err != nil {
		return s, err
	}
	for i := range steps {
		if steps[i], err = p.freeze(steps[i], at(place, i)); err != nil {
			return s, err
		}
	}
	if len(steps) == 1 && steps[0].Type != "group" { // that would be one with the group that it is in
		return steps[0], nil
	}
	return chainOf(steps), nil
}

// chainOf is the chain of frozen steps. Workers of Celery look at its id when it is the body of a chord that fails.
func chainOf(steps []task.Signature) task.Signature {
	s := task.Signature{Task: "celery.chain", Type: "chain", Tasks: steps}
	s.ID = resultID(&steps[len(steps)-1])
	return s
}

// followed is the chain of a group and of what follows it, for which the group is the header of a chord.
func followed(s task.Signature) task.Signature {
	chain := task.Signature{Task: "celery.chain", Type: "chain"}
	chain.Chain, s.Chain = s.Chain, nil
	chain.Tasks = []task.Signature{s}
	return chain
}

func (p *Plan) freezeGroup(s task.Signature, place string) (task.Signature, error) {
	if s.Chord != nil { // its members count for that one
		s.ID = cmp.Or(s.GroupID, s.ID)
	}
	s.ID = cmp.Or(s.ID, p.derive(place))
	s.Tasks = flatten(&s)
	if err := p.grow(len(s.Tasks)*len(s.LinkError), 0); err != nil {
		return s, err
	}
	for i := range s.Tasks {
		m := &s.Tasks[i]
		if i == 0 {
			m.Link = slices.Concat(m.Link, fixed(s.Link))
		}
		m.LinkError = slices.Concat(m.LinkError, s.LinkError)
		var err error
		if *m, err = p.freeze(*m, at(place, i)); err != nil {
			return s, err
		}
	}
	s.Link, s.LinkError = nil, nil
	return s, nil
}

// fixed makes calls that nothing is put in front of the arguments of. What is linked to a group follows its first member, whose result
// says nothing of the others' (celery/canvas.py, group.link).
func fixed(list []task.Signature) []task.Signature {
	list = slices.Clone(list)
	for i := range list {
		list[i].Immutable = true
	}
	return list
}

func (p *Plan) freezeChord(s task.Signature, place string) (task.Signature, error) {
	if s.Body == nil {
		return s, errors.New("a chord has no body")
	}
	s = settled(s)
	header := headerOf(s)
	if p.origin.ErrbacksOnHeader {
		header.LinkError = slices.Concat(header.LinkError, fixed(s.Body.LinkError))
	}
	header.Chord, header.GroupID, header.GroupIndex, header.Chain = nil, "", 0, nil
	var err error
	if header, err = p.freezeGroup(header, place+"/header"); err != nil {
		return s, err
	}
	body, err := p.freeze(*s.Body, place+"/body")
	if err != nil {
		return s, err
	}
	for i := range header.Tasks {
		if m := &header.Tasks[i]; m.Type == "" { // as Celery sends it, each with the body, which it has again once it is applied
			m.Chord = nil
		}
	}
	s.Tasks, s.Body = []task.Signature{header}, &body
	// A worker of Celery that fails before it comes to the chord stores the failure for this id. Those that wait wait for the body.
	s.ID = resultID(&body)
	return s, nil
}

// settled hands what is said of a chord's result to the body, whose result it is.
func settled(s task.Signature) task.Signature {
	body := *s.Body
	body.ID = cmp.Or(body.ID, s.ID)
	body.Link, body.LinkError = slices.Concat(body.Link, s.Link), slices.Concat(body.LinkError, s.LinkError)
	if body.GroupID == "" || s.Chord != nil {
		body.GroupID, body.GroupIndex = s.GroupID, s.GroupIndex
	}
	body.Chord = cmp.Or(s.Chord, body.Chord)
	s.Body = &body
	s.ID, s.Link, s.LinkError, s.GroupID, s.GroupIndex, s.Chord = "", nil, nil, "", 0, nil
	s.Given &^= groupIndexGiven()
	return s
}

// headerOf is the header of a chord as one group.
func headerOf(s task.Signature) task.Signature {
	if len(s.Tasks) == 1 && s.Tasks[0].Type == "group" {
		return s.Tasks[0]
	}
	return task.Signature{Task: "celery.group", Type: "group", Tasks: s.Tasks}
}

// resultID is the id of the task or group whose result is that of the frozen signature.
func resultID(s *task.Signature) string {
	switch {
	case s.Type == "chain" && len(s.Tasks) > 0:
		return resultID(&s.Tasks[len(s.Tasks)-1])
	case s.Type == "chord" && s.Body != nil:
		return resultID(s.Body)
	}
	return s.ID
}
