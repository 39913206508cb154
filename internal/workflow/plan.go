// Package workflow turns a signature into the calls that make it happen (celery/canvas.py). It decides and does nothing: the application
// and the worker carry out its plans.
package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Origin is where a workflow starts: at a client, or at a task that it follows.
type Origin struct {
	// ID of the task that the calls follow; "" at a client. A call without an id gets one that is made of it and its place, so that a task
	// that runs twice sends the same calls twice; without it ids are random.
	ID string
	// ParentID and RootID of the calls; without a root each call that starts is its own.
	ParentID, RootID string
	// ReplyTo is the queue for the answers of calls that name none.
	ReplyTo string
}

// After is the origin of what follows a task.
func After(req *task.Request) Origin {
	return Origin{ID: req.ID, ParentID: req.ID, RootID: cmp.Or(req.RootID, req.ID), ReplyTo: req.ReplyTo}
}

// Followers are the calls that a message says are to come after its task.
type Followers struct {
	Links    []task.Signature // once it has succeeded
	Errbacks []task.Signature // once it has failed
	Chain    []task.Signature // the steps that are left, the next one first
	Chord    *task.Signature  // the body of the chord whose header the task belongs to; nil when it belongs to none
}

// Plan is what is to be done, in this order: the chords are noted, then the calls sent.
type Plan struct {
	Chords []Chord
	Calls  []task.Signature // each of a task, in the order in which they are to be sent
	Trail  []task.Ref       // what was started: calls, groups. They are the children of the task that the calls follow
	origin Origin
	size   int // how many signatures all this has
}

// Chord is one that starts with the calls of a plan.
type Chord struct {
	// Header is the group of those that the body waits for, under the chord's group id; groups in it have structure to keep.
	Header task.Ref
	// Body is what follows, with the ids that it will have.
	Body task.Signature
}

// New returns an empty plan.
func New(origin Origin) *Plan { return &Plan{origin: origin} }

// Start adds what one signature starts with, args in front of its own arguments, and returns what its result will be; that of a chain is
// its last step's.
func (p *Plan) Start(s task.Signature, args ...any) (task.Ref, error) { return p.apply(s, args, "") }

// maxWorkflow bounds how many signatures may come of one message: a chain hands its errbacks to each of its steps, a group what follows
// it to each of its members.
const maxWorkflow = 100_000

func (p *Plan) grow(n int) error {
	if p.size += n; p.size > maxWorkflow {
		return fmt.Errorf("more than %d calls would come of it", maxWorkflow)
	}
	return nil
}

// Succeed adds the calls that follow a success: the links, then the next step of the chain. Each has the result in front of its own
// arguments.
func (p *Plan) Succeed(f Followers, result codec.Raw) error {
	args := []any{result}
	if err := p.link(f.Links, args); err != nil {
		return err
	}
	if len(f.Chain) == 0 {
		return nil
	}
	next := f.Chain[0]
	next.Chain = f.Chain[1:] // an empty one at the end, as in Celery
	return p.start(next, args, "chain")
}

// link adds the links: a single one as it is; of several, the groups each by itself and the others as one group.
func (p *Plan) link(links []task.Signature, args []any) error {
	if len(links) == 1 {
		return p.start(links[0], args, "link")
	}
	var plain []task.Signature
	for i, s := range links {
		if s.Type != "group" {
			plain = append(plain, s)
			continue
		}
		if err := p.start(s, args, "link/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if plain == nil {
		return nil
	}
	ref, err := p.members(plain, task.CallOptions{}, args, "links")
	p.Trail = append(p.Trail, ref)
	return err
}

// Fail adds the calls that follow a failure: one group, each with the task's id in front of its own arguments.
func (p *Plan) Fail(f Followers, id codec.Raw) error {
	if len(f.Errbacks) == 0 {
		return nil
	}
	_, err := p.members(flatten(f.Errbacks), task.CallOptions{}, []any{id}, "errors")
	return err
}

// start adds the calls that a signature starts with, and what they are to the trail.
func (p *Plan) start(s task.Signature, args []any, place string) error {
	ref, err := p.apply(s, args, place)
	for ref.Parent != nil { // of a chain, the first step is what was sent
		ref = *ref.Parent
	}
	if !s.Detached {
		p.Trail = append(p.Trail, ref)
	}
	return err
}

// apply adds the calls that a signature starts with. It returns what the signature's result will be; a chain's is its last step's.
func (p *Plan) apply(s task.Signature, args []any, place string) (task.Ref, error) {
	switch s.Type {
	case "":
		if !s.Immutable {
			s.Args = slices.Concat(args, s.Args)
		}
		p.identify(&s, place)
		s.ParentID, s.RootID = p.origin.ParentID, cmp.Or(p.origin.RootID, s.ID)
		p.Calls = append(p.Calls, s)
		return task.Ref{ID: s.ID}, nil
	case "group":
		members := flatten(s.Tasks)
		if s.Chord != nil {
			return task.Ref{}, unsupported("a group that belongs to a chord")
		}
		return p.members(members, s.CallOptions, args, place)
	case "chain":
		return p.steps(s, args, place)
	}
	return task.Ref{}, unsupported("a " + s.Type)
}

// members adds the calls of a group. Its own options hold for each of them.
func (p *Plan) members(members []task.Signature, group task.CallOptions, args []any, place string) (task.Ref, error) {
	ref := task.Ref{ID: cmp.Or(group.ID, p.derive(place)), Group: true}
	if err := p.grow(len(members) * (1 + len(group.Chain))); err != nil {
		return ref, err
	}
	group.ID, group.GroupID, group.GroupIndex = "", "", 0
	for i, s := range members {
		s.CallOptions = overlay(s.CallOptions, group)
		s.GroupID = cmp.Or(s.GroupID, ref.ID)
		s.GroupIndex = i
		member, err := p.apply(s, args, place+"/"+strconv.Itoa(i))
		if err != nil {
			return ref, err
		}
		ref.Members = append(ref.Members, member)
	}
	return ref, nil
}

// steps adds the call of a chain's first step, which takes the others with it. The last step is what stands for the chain in a group,
// and what its links follow.
func (p *Plan) steps(s task.Signature, args []any, place string) (task.Ref, error) {
	steps, err := unroll(s)
	if err == nil {
		err = p.grow(len(steps)*(1+len(s.LinkError)) + len(s.Chain))
	}
	if err != nil {
		return task.Ref{}, err
	}
	last := &steps[len(steps)-1]
	last.ID, last.Chord, last.Link = cmp.Or(last.ID, s.ID), cmp.Or(last.Chord, s.Chord), slices.Concat(last.Link, s.Link)
	if last.GroupID == "" {
		last.GroupID, last.GroupIndex = s.GroupID, s.GroupIndex
	}
	for i := range steps {
		steps[i].LinkError = slices.Concat(steps[i].LinkError, s.LinkError)
		p.identify(&steps[i], place+"/"+strconv.Itoa(i))
	}
	options := s.CallOptions // the rest of them holds for the first step
	options.ID, options.Chord, options.Link, options.LinkError, options.GroupID, options.GroupIndex = "", nil, nil, nil, "", 0
	options.Chain = slices.Concat([]task.Signature{}, steps[1:], s.Chain)
	first := steps[0]
	first.CallOptions = overlay(first.CallOptions, options)
	if !s.Immutable {
		s.Args = slices.Concat(args, s.Args)
	}
	ref, err := p.apply(first, s.Args, place+"/0")
	for _, step := range steps[1:] {
		before := ref
		ref = task.Ref{ID: step.ID, Parent: &before, Group: step.Type == "group"}
	}
	return ref, err
}

// unroll returns the steps of a chain, with those of chains in it. A group that something follows is a chord.
func unroll(s task.Signature) ([]task.Signature, error) {
	var steps []task.Signature
	for i, part := range s.Tasks {
		var err error
		inner := []task.Signature{part}
		switch {
		case part.Type == "chain":
			inner, err = unroll(part)
		case part.Type == "group" && i < len(s.Tasks)-1:
			err = unsupported("a group that something follows")
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, inner...)
	}
	if len(steps) == 0 {
		return nil, errors.New("a chain has no steps")
	}
	return steps, nil
}

// flatten puts the members of groups in a list in the place of the groups.
func flatten(list []task.Signature) []task.Signature {
	var flat []task.Signature
	for _, s := range list {
		if s.Type == "group" {
			flat = append(flat, flatten(s.Tasks)...)
		} else {
			flat = append(flat, s)
		}
	}
	return flat
}

// identify gives a call what a client of Celery would have given it: an id, and a queue for its answer. Who waits for the task's answer
// can read those of its children.
func (p *Plan) identify(s *task.Signature, place string) {
	s.ID = cmp.Or(s.ID, p.derive(place))
	s.ReplyTo = cmp.Or(s.ReplyTo, p.origin.ReplyTo)
}

// derive makes an id of the task's own and a place. A task without an id, which protocol 1 allows, has nothing to make one of.
func (p *Plan) derive(place string) string {
	if p.origin.ID == "" {
		return uuid.NewString()
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("taskq/"+p.origin.ID+"/"+place)).String()
}

// overlay lays the options that are set over others. As in Celery, a call keeps its stamps.
func overlay(o, over task.CallOptions) task.CallOptions {
	if o.StampedHeaders != nil {
		over.StampedHeaders, over.Stamps = nil, nil
	}
	dst := reflect.ValueOf(&o).Elem()
	for field, value := range reflect.ValueOf(over).Fields() {
		if field.IsExported() && !value.IsZero() {
			dst.FieldByIndex(field.Index).Set(value)
		}
	}
	return o
}

func unsupported(what string) error {
	return fmt.Errorf("%s is no workflow that this version of taskq advances: %w", what, errors.ErrUnsupported)
}
