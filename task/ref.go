package task

// Ref says which result is meant: a task's, or a group's with those of its members. It is Celery's result tuple
// (celery/result.py, as_tuple): [[id, parent], null] for a task, [[id, parent], [member, …]] for a group.
type Ref struct {
	ID     string
	Parent *Ref // what was sent before it in a workflow; nil when there is none
	// Group tells a group, which may be empty, from a task.
	Group   bool
	Members []Ref // of a group
}
