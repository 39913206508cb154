package workflow

import "github.com/seed-399731e2/taskq/task"

// refOf says what the result of a frozen signature is. Its parents are what comes before: the steps of a chain, the header of a chord.
func refOf(s *task.Signature) task.Ref {
	switch s.Type {
	case "group":
		ref := task.Ref{ID: s.ID, Group: true}
		for i := range s.Tasks {
			ref.Members = append(ref.Members, refOf(&s.Tasks[i]))
		}
		return ref
	case "chord":
		return behind(refOf(s.Body), refOf(&s.Tasks[0]))
	case "chain":
		ref := refOf(&s.Tasks[0])
		for i := range s.Tasks[1:] {
			ref = behind(refOf(&s.Tasks[i+1]), ref)
		}
		return ref
	}
	return task.Ref{ID: s.ID}
}

// behind puts a result behind what comes before it.
func behind(ref, before task.Ref) task.Ref {
	first := &ref
	for first.Parent != nil {
		first = first.Parent
	}
	first.Parent = &before
	return ref
}

// IDs returns the id of every task in the plan whose outcome somebody may wait for: of those that are sent now, and of those that follow
// them. What is linked to a task has no id before it is sent.
func (p *Plan) IDs() []string {
	var list ids
	for i := range p.Calls {
		list.add(&p.Calls[i])
	}
	for i := range p.Chords {
		list.add(&p.Chords[i].Body)
	}
	return list
}

type ids []string

func (l *ids) add(s *task.Signature) {
	if s.Type == "" {
		*l = append(*l, s.ID)
	}
	for i := range s.Tasks {
		l.add(&s.Tasks[i])
	}
	if s.Body != nil {
		l.add(s.Body)
	}
	for i := range s.Chain {
		l.add(&s.Chain[i])
	}
}
