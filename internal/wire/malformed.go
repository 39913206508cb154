package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Kind says what is wrong with a message.
type Kind uint8

const (
	// Unknown is no task message: it has no task header and its body is no object with "task".
	Unknown Kind = iota + 1
	// Undecodable is a body that is not what its content type says.
	Undecodable
	// Refused is a content type that this process does not accept.
	Refused
	// Invalid is a task message with a field that makes no sense.
	Invalid
	// TooLarge is a body above the limit.
	TooLarge
)

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case Undecodable:
		return "undecodable"
	case Refused:
		return "refused"
	case Invalid:
		return "invalid"
	case TooLarge:
		return "too large"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MalformedError is a message that cannot become a request. The fields that could be read are set, so that a FAILURE can be stored
// for the caller who waits: ID "" means that nobody can be told.
type MalformedError struct {
	Kind                      Kind
	ID, Task                  string
	ReplyTo, CorrelationID    string
	RootID, ParentID, GroupID string
	GroupIndex                int // -1: none
	// Embed is what waits for the task, encoded by Codec: the message may be malformed elsewhere. Envelope is what it was signed with.
	Embed    task.Embed
	Codec    codec.Codec
	Envelope codec.Envelope
	Err      error
}

// Error says it in the words of Celery's log.
func (e *MalformedError) Error() string {
	switch e.Kind {
	case Unknown:
		return fmt.Sprintf("Received and deleted unknown message. Wrong destination?!? %v", e.Err)
	case Undecodable, TooLarge:
		return fmt.Sprintf("Can't decode message body: %v", e.Err)
	case Refused:
		text := strings.TrimPrefix(e.Err.Error(), "codec: ")
		return strings.ToUpper(text[:1]) + text[1:]
	case Invalid:
	}
	return fmt.Sprintf("Received invalid task message: %v", e.Err)
}

// Unwrap returns the cause.
func (e *MalformedError) Unwrap() error { return e.Err }

// PythonException implements task.Raiser with the exceptions that kombu and Celery use.
func (e *MalformedError) PythonException() task.Exception {
	if raiser, ok := errors.AsType[task.Raiser](e.Err); ok {
		return raiser.PythonException()
	}
	x := task.Exception{Type: "InvalidTaskError", Module: "celery.exceptions", Message: []any{e.Error()}}
	switch e.Kind {
	case Undecodable, TooLarge:
		x.Type, x.Module = "DecodeError", "kombu.exceptions"
	case Refused:
		x.Type, x.Module = "ContentDisallowed", "kombu.exceptions"
	case Unknown, Invalid:
	}
	return x
}
