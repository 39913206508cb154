package task

// State is a task's state in a result store, spelled as in Celery (celery/states.py). Tasks may use states of their own, such as
// PROGRESS.
type State string

// The states of Celery that are stored. An id that nobody knows is Pending, too.
const (
	Pending State = "PENDING"
	Started State = "STARTED"
	Retried State = "RETRY"
	Success State = "SUCCESS"
	Failure State = "FAILURE"
	Revoked State = "REVOKED"
)

// InProgress is the state that Progress sets; Celery's documentation uses this name for its custom state.
const InProgress State = "PROGRESS"

// Custom reports whether the state is one that the task has set itself.
func (s State) Custom() bool {
	switch s {
	case "", Pending, Started, Retried, Success, Failure, Revoked, "RECEIVED", "REJECTED", "IGNORED":
		return false
	}
	return true
}

// Ready reports whether the state is final.
func (s State) Ready() bool { return s == Success || s == Failure || s == Revoked }

// Exceptional reports whether a result in this state is an exception.
func (s State) Exceptional() bool { return s == Failure || s == Retried || s == Revoked }
