package canvas

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/task"
)

// Flow is a workflow of which the compiler knows what it takes and what its result is: Then accepts a next part only if it takes what the
// one before returns. Whether a task runs in Go or, as one of task.Remote, in Python makes no difference.
//
// A mistake that only shows when the flow is put together, such as a field that is no parameter, is the error of sending it.
type Flow[In, Out any] struct{ sig task.Signature }

// None is the input of a flow that takes no earlier result, because all its arguments are given.
type None struct{}

// Call is a call with all its arguments.
func Call[A, R any](t *task.Task[A, R], args A, opts ...task.SendOption) Flow[None, R] {
	return Flow[None, R]{t.S(args, opts...)}
}

// Of is a task that takes the earlier result as its only parameter. For tasks with a struct of arguments see Feed.
func Of[A, R any](t *task.Task[A, R], opts ...task.SendOption) Flow[A, R] {
	var none A
	return feed[A](t, func(a *A) any { return a }, none, opts)
}

// Feed is a call whose first argument is the earlier result. The function says which field of the arguments that is, the first positional one;
// the rest are given:
//
//	canvas.Feed(add, func(a *Add) *int { return &a.X }, Add{Y: 4})
func Feed[A, In, R any](t *task.Task[A, R], field func(*A) *In, rest A, opts ...task.SendOption) Flow[In, R] {
	return feed[In](t, func(a *A) any { return field(a) }, rest, opts)
}

func feed[In, A, R any](t *task.Task[A, R], field func(*A) any, rest A, opts []task.SendOption) Flow[In, R] {
	s := t.Partial(rest, opts...)
	switch at, err := t.Position(field); {
	case err != nil:
		s.Args = []any{err}
	case at > 0:
		s.Args = []any{fmt.Errorf("an earlier result is the first argument, and the field is parameter %s, number %d", t.Spec().Params[at].Name, at+1)}
	}
	return Flow[In, R]{s}
}

// Each calls a task for each item, one after the other, in one task: Map, or Starmap for tasks with several arguments. Items pass arguments
// by position: optional ones cannot be set.
func Each[A, R any](t *task.Task[A, R], items []A, opts ...task.SendOption) Flow[None, []R] {
	var none A
	s := t.S(none, opts...)
	s.Args, s.Kwargs = nil, nil
	if _, err := t.Position(func(a *A) any { return a }); err == nil {
		return Flow[None, []R]{Map(s, items)}
	}
	lists := make([][]any, len(items))
	for i, item := range items {
		call := t.S(item)
		if len(call.Kwargs) > 0 {
			s.Args = []any{fmt.Errorf("item %d sets an argument that goes by keyword, which celery.starmap does not pass on", i)}
		}
		lists[i] = append([]any{}, call.Args...)
	}
	return Flow[None, []R]{Starmap(s, lists)}
}

// Then calls next with the result of the first flow.
func Then[A, B, C any](first Flow[A, B], next Flow[B, C]) Flow[A, C] {
	return Flow[A, C]{then(first.sig, next.sig)}
}

// After calls next once the first flow has succeeded, whose result it does not get.
func After[A, B, C any](first Flow[A, B], next Flow[None, C]) Flow[A, C] {
	return Flow[A, C]{then(first.sig, next.sig.SI())}
}

// All are flows side by side, each with the same input. Their results are a list in their order, also of a single one or none. What follows
// them with Then is called once, with the whole list (a chord).
func All[In, Out any](flows ...Flow[In, Out]) Flow[In, []Out] {
	members := make([]task.Signature, len(flows))
	for i, f := range flows {
		if members[i] = f.sig; open(f.sig) {
			members[i] = then(f.sig, listOf(f.sig)) // Celery would put the members of this group among ours
		}
	}
	return Flow[In, []Out]{Group(members...)}
}

// As gives a workflow types that the compiler cannot know.
func As[In, Out any](s task.Signature) Flow[In, Out] { return Flow[In, Out]{s.Clone()} }

// String is how Celery prints the workflow. See Repr.
func (f Flow[In, Out]) String() string { return Repr(f.sig) }

// Sig is the flow without its types: what is sent.
func (f Flow[In, Out]) Sig() task.Signature { return f.sig.Clone() }

// With returns the flow with more options. See task.Signature.With.
func (f Flow[In, Out]) With(opts ...task.SendOption) Flow[In, Out] {
	return Flow[In, Out]{f.sig.With(opts...)}
}

// OnError adds calls that are made once the flow has failed. See task.Signature.OnError.
func (f Flow[In, Out]) OnError(calls ...task.Signature) Flow[In, Out] {
	return Flow[In, Out]{f.sig.OnError(calls...)}
}

// Send sends a flow that needs no more input and returns the handle of its result. The application is a sender.
func Send[Out any](ctx context.Context, sender task.Sender, f Flow[None, Out]) (*task.Result[Out], error) {
	r, err := sender.Send(ctx, f.sig)
	if err != nil {
		return nil, err
	}
	return task.ResultAs[Out](r), nil
}

// listOf is a task whose result is the list that it is called with. As the body of a chord it makes one result of a group's, where the
// group itself would be taken apart: one with a single member anywhere, any group within a group. It goes where the flow's first task
// goes: somebody is there who runs it, as every worker of Celery's does.
func listOf(flow task.Signature) task.Signature {
	for len(flow.Tasks) > 0 {
		flow = flow.Tasks[0]
	}
	s := task.Signature{Task: "celery.accumulate", Kwargs: map[string]any{"index": 0}}
	s.Queue, s.Exchange, s.RoutingKey = flow.Queue, flow.Exchange, flow.RoutingKey
	return s
}

// open reports whether what a workflow ends in is a group.
func open(s task.Signature) bool {
	switch {
	case s.Type == "group":
		return true
	case s.Type == "chain" && len(s.Tasks) > 0:
		return open(s.Tasks[len(s.Tasks)-1])
	case s.Type == "chord" && s.Body != nil:
		return open(*s.Body)
	}
	return false
}

// then is pipe for workflows whose results are what their types say: what follows a group gets the list of its results, however many
// there are, and wherever the group stands.
func then(a, b task.Signature) task.Signature {
	if b.Type == "group" && len(b.Tasks) < 2 {
		b = chordOf(b, listOf(b))
	}
	last := len(a.Tasks) - 1
	switch {
	case a.Type == "group":
		return chordOf(a, b)
	case a.Type == "chain" && open(a):
		a = a.Clone()
		a.Tasks[last] = then(a.Tasks[last], b)
		return a
	case a.Type == "chord" && open(a):
		a = a.Clone()
		body := then(*a.Body, b)
		a.Body = &body
		return a
	}
	return pipe(a, b)
}
