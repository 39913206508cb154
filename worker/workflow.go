package worker

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// workflow turns what a message says is to happen after its task into the calls that make it happen (celery/app/trace.py,
// celery/canvas.py). It decides and does nothing.
//
// A call without an id gets one that is made of the task's own and its place: a task that runs twice sends the same calls twice.
type workflow struct {
	req   *task.Request
	calls []task.Signature // in the order in which they are to be sent
	trail []task.Ref       // the task's children: calls, groups
	size  int              // how many signatures all this has
}

// maxWorkflow bounds how many signatures may come of one message: a chain hands its errbacks to each of its steps, a group what follows
// it to each of its members.
const maxWorkflow = 100_000

func (w *workflow) grow(n int) error {
	if w.size += n; w.size > maxWorkflow {
		return fmt.Errorf("more than %d calls would come of it", maxWorkflow)
	}
	return nil
}

// succeed adds the calls that follow a success: the links, then the next step of the chain. Each has the result in front of its own
// arguments.
func (w *workflow) succeed(f followers, result codec.Raw) error {
	args := []any{result}
	if err := w.link(f.links, args); err != nil {
		return err
	}
	if len(f.chain) == 0 {
		return nil
	}
	next := f.chain[0]
	next.Chain = f.chain[1:] // an empty one at the end, as in Celery
	return w.start(next, args, "chain")
}

// link adds the links: a single one as it is; of several, the groups each by itself and the others as one group.
func (w *workflow) link(links []task.Signature, args []any) error {
	if len(links) == 1 {
		return w.start(links[0], args, "link")
	}
	var plain []task.Signature
	for i, s := range links {
		if s.Type != "group" {
			plain = append(plain, s)
			continue
		}
		if err := w.start(s, args, "link/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if plain == nil {
		return nil
	}
	ref, err := w.members(plain, task.CallOptions{}, args, "links")
	w.trail = append(w.trail, ref)
	return err
}

// fail adds the calls that follow a failure: one group, each with the task's id in front of its own arguments.
func (w *workflow) fail(f followers, id codec.Raw) error {
	if len(f.errbacks) == 0 {
		return nil
	}
	members, err := w.flatten(f.errbacks)
	if err == nil {
		_, err = w.members(members, task.CallOptions{}, []any{id}, "errors")
	}
	return err
}

// start adds the calls that a signature starts with, and what they are to the trail.
func (w *workflow) start(s task.Signature, args []any, place string) error {
	ref, err := w.apply(s, args, place)
	for ref.Parent != nil { // of a chain, the first step is what was sent
		ref = *ref.Parent
	}
	if !s.Detached {
		w.trail = append(w.trail, ref)
	}
	return err
}

// apply adds the calls that a signature starts with. It returns what the signature's result will be; a chain's is its last step's.
func (w *workflow) apply(s task.Signature, args []any, place string) (task.Ref, error) {
	switch s.Type {
	case "":
		if !s.Immutable {
			s.Args = slices.Concat(args, s.Args)
		}
		w.identify(&s, place)
		s.ParentID, s.RootID = w.req.ID, cmp.Or(w.req.RootID, w.req.ID)
		w.calls = append(w.calls, s)
		return task.Ref{ID: s.ID}, nil
	case "group":
		members, err := w.parts(s)
		if err == nil {
			members, err = w.flatten(members)
		}
		if err != nil {
			return task.Ref{}, err
		}
		if s.Chord != nil {
			return task.Ref{}, unsupported("a group that belongs to a chord")
		}
		return w.members(members, s.CallOptions, args, place)
	case "chain":
		return w.steps(s, args, place)
	}
	return task.Ref{}, unsupported("a " + s.Type)
}

// members adds the calls of a group. Its own options hold for each of them.
func (w *workflow) members(members []task.Signature, group task.CallOptions, args []any, place string) (task.Ref, error) {
	ref := task.Ref{ID: cmp.Or(group.ID, w.derive(place)), Group: true}
	if err := w.grow(len(members) * (1 + len(group.Chain))); err != nil {
		return ref, err
	}
	group.ID, group.GroupID, group.GroupIndex = "", "", 0
	for i, s := range members {
		s.CallOptions = overlay(s.CallOptions, group)
		s.GroupID = cmp.Or(s.GroupID, ref.ID)
		s.GroupIndex = i
		member, err := w.apply(s, args, place+"/"+strconv.Itoa(i))
		if err != nil {
			return ref, err
		}
		ref.Members = append(ref.Members, member)
	}
	return ref, nil
}

// steps adds the call of a chain's first step, which takes the others with it. The last step is what stands for the chain in a group,
// and what its links follow.
func (w *workflow) steps(s task.Signature, args []any, place string) (task.Ref, error) {
	steps, err := w.unroll(s)
	if err == nil {
		err = w.grow(len(steps)*(1+len(s.LinkError)) + len(s.Chain))
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
		w.identify(&steps[i], place+"/"+strconv.Itoa(i))
	}
	options := s.CallOptions // the rest of them holds for the first step
	options.ID, options.Chord, options.Link, options.LinkError, options.GroupID, options.GroupIndex = "", nil, nil, nil, "", 0
	options.Chain = slices.Concat([]task.Signature{}, steps[1:], s.Chain)
	first := steps[0]
	first.CallOptions = overlay(first.CallOptions, options)
	if !s.Immutable {
		s.Args = slices.Concat(args, s.Args)
	}
	ref, err := w.apply(first, s.Args, place+"/0")
	for _, step := range steps[1:] {
		before := ref
		ref = task.Ref{ID: step.ID, Parent: &before, Group: step.Type == "group"}
	}
	return ref, err
}

// unroll returns the steps of a chain, with those of chains in it. A group that something follows is a chord.
func (w *workflow) unroll(s task.Signature) ([]task.Signature, error) {
	parts, err := w.parts(s)
	if err != nil {
		return nil, err
	}
	var steps []task.Signature
	for i, part := range parts {
		inner := []task.Signature{part}
		switch {
		case part.Type == "chain":
			inner, err = w.unroll(part)
		case part.Type == "group" && i < len(parts)-1:
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
func (w *workflow) flatten(list []task.Signature) ([]task.Signature, error) {
	var flat []task.Signature
	for _, s := range list {
		if s.Type != "group" {
			flat = append(flat, s)
			continue
		}
		members, err := w.parts(s)
		if err == nil {
			members, err = w.flatten(members)
		}
		if err != nil {
			return nil, err
		}
		flat = append(flat, members...)
	}
	return flat, nil
}

// parts returns the tasks of a group or a chain, the first one first.
func (w *workflow) parts(s task.Signature) ([]task.Signature, error) {
	raw, _ := s.Kwargs["tasks"].(codec.Raw)
	parts, err := wire.DecodeSignatures(raw, w.req.Codec)
	if err != nil {
		return nil, fmt.Errorf("tasks of %s: %w", s.Task, err)
	}
	return parts, nil
}

// identify gives a call what a client of Celery would have given it: an id, and a queue for its answer. Who waits for the task's answer
// can read those of its children.
func (w *workflow) identify(s *task.Signature, place string) {
	s.ID = cmp.Or(s.ID, w.derive(place))
	s.ReplyTo = cmp.Or(s.ReplyTo, w.req.ReplyTo)
}

// derive makes an id of the task's own and a place. A task without an id, which protocol 1 allows, has nothing to make one of.
func (w *workflow) derive(place string) string {
	if w.req.ID == "" {
		return uuid.NewString()
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("taskq/"+w.req.ID+"/"+place)).String()
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
