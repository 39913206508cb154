// Package workflow turns a signature into the calls that make it happen (celery/canvas.py). It decides and does nothing: the application
// and the worker carry out its plans.
package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/task"
)

// Origin is where a workflow starts: at a client, or at a task that it follows.
type Origin struct {
	// ID of the task that the calls follow, or of the chord, of which any task may be the last one; "" at a client. What has no id gets one
	// that is made of it and its place, so that a task that runs twice sends the same calls twice; without it ids are random.
	ID string
	// ParentID and RootID of the calls; without a root each call that starts is its own.
	ParentID, RootID string
	// ReplyTo is the queue for the answers of calls that name none.
	ReplyTo string
	// ErrbacksOnHeader has what is called when a chord fails called for each failed task of its header, too
	// (task_allow_error_cb_on_chord_header).
	ErrbacksOnHeader bool
}

// After is the origin of what follows a task.
func After(req *task.Request) Origin {
	return Origin{ID: req.ID, ParentID: req.ID, RootID: cmp.Or(req.RootID, req.ID), ReplyTo: req.ReplyTo}
}

// Plan is what is to be done, in this order: the chords are noted, then the calls sent.
type Plan struct {
	Chords []Chord
	Calls  []task.Signature // each of a task, in the order in which they are to be sent
	Trail  []task.Ref       // what was started: calls, groups. They are the children of the task that the calls follow
	origin Origin
	size   int // how many signatures were made
	shared int // how many signatures the messages repeat
}

// Chord is one that starts with the calls of a plan.
type Chord struct {
	// Header is the group of those that the body waits for, under the chord's group id; groups in it have structure to keep. It is never
	// without a task.
	Header task.Ref
	// Body is what follows, with the ids that it will have.
	Body task.Signature
}

// New returns an empty plan.
func New(origin Origin) *Plan { return &Plan{origin: origin} }

// Start adds what one signature starts with, args in front of its own arguments, and returns what its result will be; that of a chain is
// its last step's, that of a chord its body's. What comes before those is the parent.
func (p *Plan) Start(s task.Signature, args ...any) (task.Ref, error) { return p.apply(s, args, "") }

// apply adds what a signature starts with. It returns what the signature's result will be.
func (p *Plan) apply(s task.Signature, args []any, place string) (task.Ref, error) {
	s, err := p.freeze(s, place)
	if err != nil {
		return task.Ref{}, err
	}
	return refOf(&s), p.emit(s, args)
}

// start is apply for what follows a task: it is added to the trail. Of what comes one after the other that is the first.
func (p *Plan) start(s task.Signature, args []any, place string) error {
	ref, err := p.apply(s, args, place)
	for ref.Parent != nil && len(ref.Parent.Tasks()) > 0 {
		ref = *ref.Parent
	}
	if !s.Detached {
		ref.Parent = nil
		p.Trail = append(p.Trail, ref)
	}
	return err
}

const (
	// maxMade bounds how many signatures may be made of one message: a chain hands its errbacks to each of its steps, say.
	maxMade = 100_000
	// maxShared bounds how often a signature of the message is written again: a chord's body goes with each task of its header.
	maxShared = 1_000_000
)

// grow notes that signatures are made, and how many the messages of these will repeat. What a client starts is its own business.
func (p *Plan) grow(made, shared int) error {
	p.size, p.shared = p.size+made, p.shared+shared
	switch {
	case p.origin.ID == "" || p.size <= maxMade && p.shared <= maxShared:
		return nil
	case p.size > maxMade:
		return fmt.Errorf("more than %d calls would come of it", maxMade)
	}
	return fmt.Errorf("its messages would repeat more than %d calls", maxShared)
}

// identify gives a call what a client of Celery would have given it: an id, and a queue for its answer. Who waits for the task's answer
// can read those of its children.
func (p *Plan) identify(s *task.Signature, place string) {
	s.ID = cmp.Or(s.ID, p.derive(place))
	s.ReplyTo = cmp.Or(s.ReplyTo, p.origin.ReplyTo)
	s.RootID = cmp.Or(s.RootID, p.origin.RootID)
}

// derive makes an id of the task's own and a place. A task without an id, which protocol 1 allows, has nothing to make one of.
func (p *Plan) derive(place string) string {
	if p.origin.ID == "" {
		return uuid.NewString()
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("taskq/"+p.origin.ID+"/"+place)).String()
}

// at is the place of a part.
func at(place string, i int) string { return place + "/" + strconv.Itoa(i) }

func unsupported(what string) error {
	return fmt.Errorf("%s is no workflow that this version of taskq advances: %w", what, errors.ErrUnsupported)
}
