package task

import "github.com/seed-399731e2/taskq/codec"

// FailedCall are the arguments of an errback in Celery's newer form, errback(request, exc, traceback): a task that takes them, as a
// link_error of another one, gets what is known of the failure. A task with another parameter gets the id of the failed task, the older
// form.
//
// The newer form is for a worker that has the errback itself, as in Celery, which calls the function on the spot; here it is sent like any
// task. A worker that does not know the errback, one in Python say, sends the id alone, and the errback fails with a TypeError: errbacks
// of such tasks take the id.
type FailedCall struct {
	Request   FailedRequest `task:"request"`
	Exc       Exception     `task:"exc"`
	Traceback string        `task:"traceback"` // as the worker stored it; may be empty
}

// Err returns the exception as the error that a caller of the task gets.
func (f FailedCall) Err() error { return f.Exc.remote(f.Traceback, nil) }

// FailedRequest is the call that failed. That of a chord's body which never ran has no arguments.
type FailedRequest struct {
	ID       string    `json:"id"`
	Task     string    `json:"task"`
	Args     codec.Raw `json:"args"`   // encoded, as the errback's own arguments are
	Kwargs   codec.Raw `json:"kwargs"` // likewise
	RootID   string    `json:"root_id"`
	ParentID string    `json:"parent_id"`
	Group    string    `json:"group"`
	Retries  int       `json:"retries"`
}
