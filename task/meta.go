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
	// Children are the encoded result tuples of the tasks that this one sent, [[[id, parent], null], …]; nil when there are none.
	Children codec.Raw
	DoneAt   time.Time // zero until State.Ready
	GroupID  string
	ParentID string

	// Where an answer goes that is sent instead of stored (the rpc store); not part of what is kept.
	ReplyTo, CorrelationID string
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
	var exc Exception
	if err := m.codec().Unmarshal(m.Result, &exc); err != nil || exc.Type == "" {
		exc = Exception{Type: "Exception", Module: "builtins", Message: []any{string(m.Result)}}
	}
	return exc.remote(m.Traceback)
}

func (m Meta) codec() codec.Codec {
	if m.Codec != nil {
		return m.Codec
	}
	return codec.JSON{}
}
