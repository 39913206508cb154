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

// Ready reports whether the state is final.
func (s State) Ready() bool { return s == Success || s == Failure || s == Revoked }

// Exceptional reports whether a result in this state is an exception.
func (s State) Exceptional() bool { return s == Failure || s == Retried || s == Revoked }
