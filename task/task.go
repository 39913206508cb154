package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Handler runs a request. The result must be a value that the codec can encode.
type Handler interface {
	Handle(ctx context.Context, req *Request) (result any, err error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, req *Request) (any, error)

// Handle implements Handler.
func (f HandlerFunc) Handle(ctx context.Context, req *Request) (any, error) { return f(ctx, req) }

// Middleware wraps a handler, to act before and after it or in its place.
type Middleware func(Handler) Handler

// Wrap puts middleware around h, the first one outermost.
func Wrap(h Handler, middleware []Middleware) Handler {
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// Definition is a task of any type; *Task is one.
type Definition interface{ Spec() *Spec }

// Spec is a task without its Go types: what a registry holds.
type Spec struct {
	Name string
	Settings
	Handler Handler // nil: implemented elsewhere
	Params  []Param
	Returns string // Go type of the result; "" when it is not known
}

// Task is a task with arguments of type A and a result of type R. Make it with New or Remote.
type Task[A, R any] struct {
	spec   Spec
	params *params
}

// New returns the task that runs fn. The exported fields of A, a struct, are the parameters in order; their names come from the
// tag `task:"name"` (or the field's name in lower case), and `task:"name,optional"` makes one optional. `task:"name,keyword"` takes it
// by keyword only. Any other A is one positional parameter; struct{} means none. It panics when A cannot be parameters or the
// name is empty.
func New[A, R any](name string, fn func(context.Context, A) (R, error), opts ...Option) *Task[A, R] {
	t := Remote[A, R](name, opts...)
	t.spec.Handler = Wrap(HandlerFunc(func(ctx context.Context, req *Request) (any, error) {
		var args A
		if err := t.params.bind(shortName(name), req.Arguments, &args); err != nil {
			return nil, err
		}
		return fn(ctx, args)
	}), t.spec.Middleware)
	return t
}

// Remote returns a task that is implemented elsewhere, in Python say: it can be sent, not run. Parameters as for New.
func Remote[A, R any](name string, opts ...Option) *Task[A, R] {
	t := remote[A, R](name, opts...)
	t.spec.noBatch()
	return t
}

func remote[A, R any](name string, opts ...Option) *Task[A, R] {
	if name == "" {
		panic("task: a task needs a name")
	}
	t := &Task[A, R]{params: paramsOf[A](name)}
	t.spec = Spec{Name: name, Params: t.params.list, Returns: typeName[R]()}
	for _, o := range opts {
		o.applyTask(&t.spec.Settings)
	}
	if err := errors.Join(t.spec.Call.Validate(), t.spec.checkLimits()); err != nil {
		panic(fmt.Sprintf("task %s: %v", name, err))
	}
	return t
}

// Raw returns a task that gets its arguments undecoded.
func Raw(name string, h Handler, opts ...Option) *Task[Arguments, any] {
	t := &Task[Arguments, any]{spec: Spec{Name: name, Params: []Param{{Name: "*args"}, {Name: "**kwargs"}}}}
	for _, o := range opts {
		o.applyTask(&t.spec.Settings)
	}
	t.spec.noBatch()
	t.spec.Handler = Wrap(h, t.spec.Middleware)
	return t
}

// noBatch panics when options of NewBatch were given to a task that takes one call at a time.
func (s *Spec) noBatch() {
	if s.Batch != nil {
		panic(fmt.Sprintf("task %s: BatchSize and BatchWait are for tasks of NewBatch", s.Name))
	}
}

// Spec implements Definition.
func (t *Task[A, R]) Spec() *Spec { return &t.spec }

// Name is the name that the task is called by.
func (t *Task[A, R]) Name() string { return t.spec.Name }

// S returns the call with these arguments, to be sent later or put into a workflow.
func (t *Task[A, R]) S(args A, opts ...SendOption) Signature {
	s := Signature{Task: t.spec.Name, CallOptions: t.spec.Call.clone()}
	s.Given |= givenDefaults
	if t.params == nil { // Raw
		a := any(args).(Arguments)
		for _, raw := range a.Args {
			s.Args = append(s.Args, raw)
		}
		for k, raw := range a.Kwargs {
			if s.Kwargs == nil {
				s.Kwargs = map[string]any{}
			}
			s.Kwargs[k] = raw
		}
	} else {
		s.Args, s.Kwargs = t.params.split(args)
	}
	for _, o := range opts {
		o.applyCall(&s.CallOptions)
	}
	return s
}

// SI is S for a call that takes no earlier result in front of its arguments, in a link or a workflow (Celery's si).
func (t *Task[A, R]) SI(args A, opts ...SendOption) Signature {
	s := t.S(args, opts...)
	s.Immutable = true
	return s
}

// Send sends a call of the task and returns the handle of its result.
func (t *Task[A, R]) Send(ctx context.Context, sender Sender, args A, opts ...SendOption) (*Result[R], error) {
	r, err := sender.Send(ctx, t.S(args, opts...))
	if err != nil {
		return nil, err
	}
	return ResultAs[R](r), nil
}
