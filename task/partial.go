package task

import (
	"errors"
	"fmt"
	"reflect"
)

// Partial is S for a call that gets its first argument later: the result of what comes before it in a workflow, or of the task that it is
// linked to. The first positional parameter is left out and stays zero in rest; what follows it moves on by one place:
//
//	canvas.Chain(add.S(Add{X: 2, Y: 2}), add.Partial(Add{Y: 4})) // add.s(2, 2) | add.s(4)
//
// A rest that sets it nevertheless makes a call that cannot be sent.
func (t *Task[A, R]) Partial(rest A, opts ...SendOption) Signature {
	s := t.S(rest, opts...)
	if t.params == nil { // Raw: they stand behind the one that comes
		return s
	}
	p := t.params
	value := reflect.ValueOf(&rest).Elem()
	switch {
	case p.fields == nil:
		s.Args = nil
	case len(p.list) == 0 || p.list[0].Keyword:
		return s.broken(errors.New("the task takes no positional argument, and so none of an earlier result"))
	default:
		value = value.Field(p.fields[0])
		if !p.list[0].Optional {
			s.Args = s.Args[1:]
		}
	}
	if !value.IsZero() {
		return s.broken(fmt.Errorf("the parameter %s is for the earlier result: leave it out of the rest", p.list[0].Name))
	}
	return s
}

// broken makes a call that Validate refuses for the reason: an error is no argument.
func (s Signature) broken(err error) Signature {
	s.Args = []any{err}
	return s
}

// Position returns which positional parameter, from 0, a pointer is to that the function takes from the task's arguments: to a field of
// theirs, or to the arguments themselves when they are the one parameter.
func (t *Task[A, R]) Position(of func(*A) any) (int, error) {
	var args A
	pointer := reflect.ValueOf(of(&args))
	if t.params == nil || pointer.Kind() != reflect.Pointer || pointer.IsNil() {
		return 0, fmt.Errorf("task %s: %T is no parameter of it", t.spec.Name, of(&args))
	}
	if t.params.fields == nil {
		if pointer.UnsafePointer() == reflect.ValueOf(&args).UnsafePointer() && pointer.Type() == reflect.TypeFor[*A]() {
			return 0, nil
		}
		return 0, fmt.Errorf("task %s: the pointer is to a part of its one parameter", t.spec.Name)
	}
	for i, param := range t.params.list {
		field := reflect.ValueOf(&args).Elem().Field(t.params.fields[i]).Addr()
		switch {
		case field.UnsafePointer() != pointer.UnsafePointer() || field.Type() != pointer.Type():
		case param.Keyword:
			return 0, fmt.Errorf("task %s: the parameter %s is by keyword only", t.spec.Name, param.Name)
		default:
			return i, nil
		}
	}
	return 0, fmt.Errorf("task %s: the pointer is to no parameter of it", t.spec.Name)
}
