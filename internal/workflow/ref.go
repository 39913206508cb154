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
