package task

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// Arguments are the encoded arguments of a call.
type Arguments struct {
	Args   []codec.Raw
	Kwargs map[string]codec.Raw
	Codec  codec.Codec // what encoded them; nil means JSON
}

// Decode binds the arguments to the parameters that the fields of *dst, a struct, stand for; see New. A mismatch is an
// *ArgumentError in Python's words.
func (a Arguments) Decode(dst any) error {
	t := reflect.TypeOf(dst)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("task: decode arguments into %T: not a pointer", dst)
	}
	p, err := paramsFor(t.Elem())
	if err != nil {
		return err
	}
	return p.bind("task", a, dst)
}

func (a Arguments) codec() codec.Codec {
	if a.Codec != nil {
		return a.Codec
	}
	return codec.JSON{}
}

// Param is one parameter of a task.
type Param struct {
	Name     string
	Type     string // Go type
	Optional bool
	Keyword  bool // by keyword only
}

// params is how a Go type takes arguments.
type params struct {
	list   []Param
	fields []int // index of each parameter's field; nil when the type itself is the one parameter
}

func paramsOf[A any](task string) *params {
	p, err := paramsFor(reflect.TypeFor[A]())
	if err != nil {
		panic(fmt.Sprintf("task %s: %v", task, err))
	}
	return p
}

func paramsFor(t reflect.Type) (*params, error) {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || reflect.PointerTo(t).Implements(reflect.TypeFor[codecValue]()) {
		return &params{list: []Param{{Name: "arg", Type: t.String()}}}, nil
	}
	p := &params{fields: []int{}}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("task")
		if tag == "-" || !f.IsExported() {
			continue
		}
		name, flags, _ := strings.Cut(tag, ",")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		param := Param{Name: name, Type: f.Type.String()}
		for flag := range strings.SplitSeq(flags, ",") {
			switch flag {
			case "":
			case "optional":
				param.Optional = true
			case "keyword":
				param.Keyword = true
			default:
				return nil, fmt.Errorf("field %s of %s: unknown flag %q in its task tag", f.Name, t, flag)
			}
		}
		if slices.ContainsFunc(p.list, func(q Param) bool { return q.Name == name }) {
			return nil, fmt.Errorf("%s has two parameters named %s", t, name)
		}
		if n := len(p.list); n > 0 && !param.Keyword && !param.Optional && p.list[n-1].Optional {
			return nil, fmt.Errorf("%s: the required parameter %s follows an optional one", t, name)
		}
		if n := len(p.list); n > 0 && !param.Keyword && p.list[n-1].Keyword {
			return nil, fmt.Errorf("%s: the positional parameter %s follows a keyword-only one", t, name)
		}
		p.list = append(p.list, param)
		p.fields = append(p.fields, i)
	}
	return p, nil
}

// A type that decodes itself is one parameter, also when it is a struct.
type codecValue interface{ UnmarshalJSON([]byte) error }

// split takes a value apart into positional arguments (the required ones) and keyword arguments (the optional ones that are set,
// and the keyword-only ones).
func (p *params) split(v any) (args []any, kwargs map[string]any) {
	if p.fields == nil {
		return []any{v}, nil
	}
	value := reflect.ValueOf(v)
	for i, param := range p.list {
		f := value.Field(p.fields[i])
		switch {
		case param.Optional && f.IsZero():
		case param.Optional || param.Keyword:
			if kwargs == nil {
				kwargs = map[string]any{}
			}
			kwargs[param.Name] = f.Interface()
		default:
			args = append(args, f.Interface())
		}
	}
	return args, kwargs
}

// fewParams is how many parameters are bound without memory of their own.
const fewParams = 8

// bind decodes the arguments into *dst by the rules of a Python call.
func (p *params) bind(fn string, a Arguments, dst any) error {
	var room [fewParams]codec.Raw
	bound := append(room[:0], make([]codec.Raw, len(p.list))...)
	if err := p.match(fn, a, bound); err != nil {
		return err
	}
	value := reflect.ValueOf(dst).Elem()
	for i, raw := range bound {
		if raw == nil {
			continue
		}
		target := value
		if p.fields != nil {
			target = value.Field(p.fields[i])
		}
		if err := a.codec().Unmarshal(raw, target.Addr().Interface()); err != nil {
			if _, ok := errors.AsType[Raiser](err); ok {
				return Permanent(err)
			}
			return Permanent(&valueError{fn: fn, param: p.list[i].Name, err: err})
		}
	}
	return nil
}

// match finds the encoded argument of each parameter. The words are those of CPython (Objects/call.c, Python/ceval.c).
func (p *params) match(fn string, a Arguments, bound []codec.Raw) error {
	positional := 0
	for _, param := range p.list {
		if !param.Keyword {
			positional++
		}
	}
	if n := len(a.Args); n > positional {
		return argumentError("%s() takes %s but %d %s given", fn, p.takes(positional), n, plural(n, "was", "were"))
	}
	copy(bound, a.Args)
	matched := 0
	for i := range p.list {
		if raw, ok := a.Kwargs[p.list[i].Name]; ok && bound[i] == nil {
			bound[i] = raw
			matched++
		}
	}
	if matched < len(a.Kwargs) {
		return p.mismatch(fn, a)
	}
	if err := p.missing(fn, bound, "positional", false); err != nil {
		return err
	}
	return p.missing(fn, bound, "keyword-only", true)
}

// mismatch is the error for the first keyword argument that has no parameter, or one that has its value already.
func (p *params) mismatch(fn string, a Arguments) error {
	for _, name := range slices.Sorted(maps.Keys(a.Kwargs)) {
		switch i := slices.IndexFunc(p.list, func(q Param) bool { return q.Name == name }); {
		case i < 0:
			return argumentError("%s() got an unexpected keyword argument '%s'", fn, name)
		case i < len(a.Args):
			return argumentError("%s() got multiple values for argument '%s'", fn, name)
		}
	}
	return nil
}

func (p *params) missing(fn string, bound []codec.Raw, kind string, keyword bool) error {
	var names []string
	for i, param := range p.list {
		if bound[i] == nil && !param.Optional && param.Keyword == keyword {
			names = append(names, "'"+param.Name+"'")
		}
	}
	n := len(names)
	if n == 0 {
		return nil
	}
	text := names[n-1]
	switch {
	case n == 2:
		text = names[0] + " and " + text
	case n > 2:
		text = strings.Join(names[:n-1], ", ") + ", and " + text
	}
	return argumentError("%s() missing %d required %s %s: %s", fn, n, kind, plural(n, "argument", "arguments"), text)
}

func (p *params) takes(positional int) string {
	required := 0
	for _, param := range p.list {
		if !param.Keyword && !param.Optional {
			required++
		}
	}
	if required < positional {
		return fmt.Sprintf("from %d to %d positional arguments", required, positional)
	}
	return fmt.Sprintf("%d positional %s", positional, plural(positional, "argument", "arguments"))
}

func argumentError(format string, args ...any) error {
	return Permanent(&ArgumentError{Text: fmt.Sprintf(format, args...)})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// valueError is an argument that has the wrong type or form.
type valueError struct {
	fn, param string
	err       error
}

func (e *valueError) Error() string {
	return fmt.Sprintf("%s() argument '%s': %v", e.fn, e.param, e.err)
}

func (e *valueError) Unwrap() error { return e.err }

// PythonException implements Raiser.
func (e *valueError) PythonException() Exception {
	return Exception{Type: "TypeError", Module: "builtins", Message: []any{e.Error()}}
}

// shortName is what Python would call the function: the last part of the task's name.
func shortName(task string) string { return task[strings.LastIndexByte(task, '.')+1:] }

func typeName[R any]() string {
	if t := reflect.TypeFor[R](); t.Kind() != reflect.Struct || t.NumField() > 0 {
		return t.String()
	}
	return ""
}
