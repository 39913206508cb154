// Package result says what taskq needs of a result store: keep a task's outcome, look it up, wait for it.
//
// The stores are in the sub-packages; each passes the suite in result/resulttest. The package knows nothing of workers.
package result

import (
	"context"

	"github.com/seed-399731e2/taskq/task"
)

// Backend is a result store. It is safe for concurrent use.
type Backend interface {
	task.Results
	// Store keeps the outcome, in place of an earlier one of the same id; a stored SUCCESS is never overwritten. It returns nil once
	// the outcome is safe.
	Store(ctx context.Context, meta task.Meta) error
	// Close ends the waiters with ErrClosed and releases what the store holds.
	Close(ctx context.Context) error
}

// GroupStore is a Backend that keeps which tasks a group has, as Celery's GroupResult.save does.
type GroupStore interface {
	// SaveGroup keeps a group under its id for as long as outcomes are kept.
	SaveGroup(ctx context.Context, group task.Ref) error
	// Group returns a saved group; found is false when there is none of this id.
	Group(ctx context.Context, id string) (group task.Ref, found bool, err error)
	// ForgetGroup deletes a saved group; one that is not there is no error. The outcomes of its tasks stay.
	ForgetGroup(ctx context.Context, id string) error
}

// Replier is a Backend that gets outcomes as messages instead of looking them up, as Celery's rpc does.
type Replier interface {
	// Expect makes ready for the outcome of a task that is about to be sent, and returns the reply_to for its message.
	Expect(ctx context.Context, id string) (replyTo string, err error)
}

// Joiner is a Backend that keeps count of the finished tasks of a chord's header, as Celery's Redis store does, so that Python's workers
// and those here can finish the tasks of one chord (celery/backends/redis.py, on_chord_part_return).
type Joiner interface {
	// SetChordSize says how many tasks the header has. Who sends the header says it before it sends the last of them.
	SetChordSize(ctx context.Context, group string, size int) error
	// JoinChord notes a header's task that has ended, and its outcome. Once all have, complete is true and parts are their outcomes in
	// the order of the header, of which ID, State and Result are set; whoever notes a task again may be told so again. A header with
	// groups in it was saved under the group's id: then its structure is that of GroupStore.Group.
	JoinChord(ctx context.Context, part ChordPart) (parts []task.Meta, complete bool, err error)
	// ForgetChord deletes what was noted, once the body is sent.
	ForgetChord(ctx context.Context, group string) error
}

// ChordPart is the outcome of one task of a chord's header. Its Meta.GroupID says which chord.
type ChordPart struct {
	task.Meta
	// Index is the task's place in the header; negative when its message did not say.
	Index int
}

// Checker is a Backend that can tell beforehand whether it will do.
type Checker interface {
	// Check looks whether outcomes can be stored. It returns ErrUnavailable when the store is away, and ErrAccess when it is set up in a
	// way that time does not mend.
	Check(ctx context.Context) error
}
