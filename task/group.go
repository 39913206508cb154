package task

import (
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
)

// Tasks are the ids of the tasks that a tuple stands for: the task itself, or those in the group.
func (r Ref) Tasks() []string {
	if !r.Group {
		return []string{r.ID}
	}
	var ids []string
	for _, member := range r.Members {
		ids = append(ids, member.Tasks()...)
	}
	return ids
}

// AllTasks are the ids of all tasks of the workflow that a tuple knows of: Tasks, those in front of them in chains, and the headers of
// chords.
func (r Ref) AllTasks() []string {
	var ids []string
	if r.Parent != nil {
		ids = r.Parent.AllTasks()
	}
	if !r.Group {
		return append(ids, r.ID)
	}
	for _, member := range r.Members {
		ids = append(ids, member.AllTasks()...)
	}
	return ids
}

// joined is the outcome of a group as that of one task: what the first failed member failed with, or the list of all values
// (celery/result.py, ResultSet.join).
func joined(group Ref, outcome func(Ref) (Meta, error)) (Meta, error) {
	sum := Meta{ID: group.ID, State: Success}
	values := make([]any, len(group.Members))
	for i, ref := range group.Members {
		member, err := outcome(ref)
		switch {
		case err != nil:
			return Meta{}, err
		case member.State.Ready() && member.State != Success:
			member.ID, member.State, member.Children = group.ID, Failure, nil
			return member, nil
		case member.State != Success:
			sum.State = Pending
			continue
		}
		if sum.DoneAt.Before(member.DoneAt) {
			sum.DoneAt = member.DoneAt
		}
		if values[i], err = member.plain(); err != nil {
			return Meta{}, fmt.Errorf("task: result of %s in group %s: %w", ref.ID, group.ID, err)
		}
	}
	if sum.State != Success {
		return Meta{ID: group.ID, State: sum.State}, nil
	}
	var err error
	sum.Result, err = codec.JSON{}.Marshal(values)
	return sum, err
}

// plain is the result as a part of a JSON document.
func (m Meta) plain() (any, error) {
	if c := m.codec(); c.ContentType() == (codec.JSON{}).ContentType() {
		return m.Result, nil
	}
	var value any
	err := m.Value(&value)
	return value, err
}
