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

// Joiner is a Backend that keeps count of the finished tasks of a chord's header, so that exactly one list of their outcomes comes of it
// however often each of them runs. Where Celery has such a count in the same store it is the same one, and Python's workers and those
// here can finish the tasks of one chord (celery/backends/redis.py, on_chord_part_return; django_celery_results/backends/database.py).
//
// What is noted of a chord is kept as long as an outcome, from when anything was noted last. Any of the calls may be repeated: nothing
// counts twice. Ids that are empty, and outcomes that the store cannot keep, are errors that wrap ErrInvalid.
type Joiner interface {
	// OpenChord notes a chord before the first task of its header is sent: header is the group of all tasks that it waits for, under the
	// chord's group id. To note it again changes nothing. A header without tasks, for which nothing could ever be noted, wraps ErrInvalid.
	OpenChord(ctx context.Context, header task.Ref) error
	// JoinChord notes a task of the header that has ended, and its outcome, which must have been stored before. A task that is noted again
	// counts once, with its first outcome, if Index is what it was. It returns what came of the header once all of its tasks have ended,
	// and nil before; whoever notes a task again until ForgetChord is told so again, and of several who note the last tasks at once,
	// more than one may be told. A chord that is not noted, or no longer, is not complete.
	JoinChord(ctx context.Context, part ChordPart) (*Joined, error)
	// GrowChord has the chord wait for more tasks, which a task of its header has added before it ended (celery/app/task.py,
	// add_to_chord). Ids that were added before change nothing.
	GrowChord(ctx context.Context, group string, ids ...string) error
	// ForgetChord deletes what was noted, once the body is sent. What comes in later for the chord does not complete it again, unless it
	// is opened again. A chord that is not noted is no error.
	ForgetChord(ctx context.Context, group string) error
	// ClaimBody reports whether the message with this claim is the one of the task that counts: the first one that asks is, each time it
	// asks. A chord's body may have been sent twice, by workers that died before they could say that it was; one of the messages runs.
	// A claim is kept as long as an outcome, from when it was asked for last, and a day where outcomes are kept for ever.
	ClaimBody(ctx context.Context, id, claim string) (bool, error)
}

// ChordPart is the outcome of one task of a chord's header. Its Meta.GroupID says which chord.
type ChordPart struct {
	task.Meta
	// Index is the task's place in the header; negative when its message did not say.
	Index int
}

// Joined is what came of a chord's header.
type Joined struct {
	// Parts are the outcomes of its tasks, of which ID, State, Result and Codec are set: in the order of the header, and after them those
	// that were added.
	Parts []task.Meta
	// Header is its structure, nil when no groups are in it. The tasks that were added may be missing in it.
	Header *task.Ref
}

// Cleaner is a Backend that deletes what has expired itself, as celery.backend_cleanup asks for (celery/app/builtins.py).
type Cleaner interface {
	// Cleanup deletes all that has expired. It returns early with an error when it could not, or when ctx ends.
	Cleanup(ctx context.Context) error
}

// Checker is a Backend that can tell beforehand whether it will do.
type Checker interface {
	// Check looks whether outcomes can be stored. It returns ErrUnavailable when the store is away, and ErrAccess when it is set up in a
	// way that time does not mend.
	Check(ctx context.Context) error
}
