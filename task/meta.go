package task

import (
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// Meta is what a result store keeps of a task (Celery's result metadata, celery/backends/base.py).
type Meta struct {
	ID    string
	State State
	// Result is the encoded return value, or the encoded Exception when State.Exceptional.
	Result codec.Raw
	// Codec is what Result is encoded with; nil means JSON.
	Codec     codec.Codec
	Traceback string
	// Children are the tasks and groups that this one sent; nil when nobody kept count, as for a task that was revoked before a worker
	// had it (Celery's null).
	Children []Ref
	DoneAt   time.Time // zero until State.Ready
	GroupID  string
	ParentID string
	// Extended is what was called, where and how; nil unless the worker is told to store it (Celery's result_extended).
	Extended *Extended

	// Exceptions say which Go errors Err matches; nil means none but Celery's and the standard library's. Not part of what is kept.
	Exceptions Exceptions

	// Where an answer goes that is sent instead of stored (the rpc store); not part of what is kept.
	ReplyTo, CorrelationID string
}

// Extended is the part of a task's metadata that Celery stores with result_extended.
type Extended struct {
	Name   string
	Args   codec.Raw // encoded as Meta.Result is
	Kwargs codec.Raw
	// ArgsRepr and KwargsRepr are the arguments for people, in Python's notation.
	ArgsRepr, KwargsRepr string
	Worker               string // node name
	PeriodicTask         string // entry of the schedule that sent it, the header periodic_task_name of django-celery-beat
	Retries              int
	Queue                string // the routing key that the task was delivered with
	StampedHeaders       []string
	Stamps               map[string]any
}

// Value decodes the result into dst. It returns a *RemoteError when the task failed.
func (m Meta) Value(dst any) error {
	if m.State.Exceptional() {
		return m.Err()
	}
	return m.codec().Unmarshal(m.Result, dst)
}

// Err returns the exception that the task ended with as a *RemoteError, nil when the state is not an exceptional one.
func (m Meta) Err() error {
	if !m.State.Exceptional() {
		return nil
	}
	return m.exception().remote(m.Traceback, m.Exceptions)
}

func (m Meta) codec() codec.Codec {
	if m.Codec != nil {
		return m.Codec
	}
	return codec.JSON{}
}
