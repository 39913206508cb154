package workflow_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/task"
)

// shape makes random workflows.
type shape struct {
	*rand.Rand
	n, left int // tasks made, tasks that may still be made
}

func (r *shape) call() task.Signature {
	r.n++
	r.left--
	s := task.Signature{Task: fmt.Sprintf("t%d", r.n), Immutable: r.IntN(8) == 0}
	if r.IntN(3) == 0 {
		s.Args = []any{"c"}
	}
	return s
}

// workflow makes one that is at most so deep.
func (r *shape) workflow(depth int) task.Signature {
	kind := r.IntN(4)
	if depth == 0 || r.left <= 0 || kind == 0 {
		return r.call()
	}
	var s task.Signature
	for range min(r.IntN(4), r.left) { // none, too
		s.Tasks = append(s.Tasks, r.workflow(depth-1))
	}
	s.Type = []string{"", "chain", "group", "chord"}[kind]
	s.Task = "celery." + s.Type
	switch {
	case s.Type == "chain" && s.Tasks == nil:
		s.Tasks = []task.Signature{r.call()}
	case s.Type == "chord":
		body := r.workflow(depth - 1)
		s.Body = &body
		if r.IntN(2) == 0 {
			s.Tasks = []task.Signature{{Task: "celery.group", Type: "group", Tasks: s.Tasks}}
		}
	}
	if s.Immutable = r.IntN(12) == 0; r.IntN(12) == 0 {
		s.Args = []any{"p"}
	}
	if r.IntN(10) == 0 {
		s.Queue = "q"
	}
	return s
}

// failed is the value of what does not succeed.
type failed struct{}

// evaluator says what a workflow comes to: text for a task, a list for a group, in which there may be failures.
type evaluator struct {
	fails    map[string]bool
	replaces map[string]task.Signature // what takes the place of a task
}

func (e evaluator) value(s task.Signature, args ...any) any {
	if s.Immutable {
		args = nil
	}
	args = append(slices.Clip(args), s.Args...)
	switch s.Type {
	case "chain":
		return e.chain(s.Tasks, args)
	case "group":
		return e.group(s.Tasks, args)
	case "chord":
		header := task.Signature{Type: "group", Tasks: s.Tasks}
		if len(s.Tasks) == 1 && s.Tasks[0].Type == "group" {
			header = s.Tasks[0]
		}
		if results := e.value(header, args...); !hasFailed(results) {
			return e.value(*s.Body, results)
		}
		return failed{}
	}
	other, replaced := e.replaces[s.Task]
	switch {
	case e.fails[s.Task]:
		return failed{}
	case replaced:
		if v := e.value(other); !hasFailed(v) {
			return v
		}
		return failed{}
	}
	return outcome(s.Task, args)
}

// chain leaves out empty groups, and takes the only member of a group for the group.
func (e evaluator) chain(parts []task.Signature, args []any) any {
	var steps []task.Signature
	for _, s := range parts {
		if !isNothing(s) {
			steps = append(steps, s)
		}
	}
	for i, s := range steps {
		v := e.step(s, args)
		switch {
		case i == len(steps)-1:
			return v
		case hasFailed(v):
			return failed{}
		}
		args = []any{v}
	}
	return []any{}
}

func (e evaluator) step(s task.Signature, args []any) any {
	if s.Type != "group" || len(s.Tasks) != 1 {
		return e.value(s, args...)
	}
	if s.Immutable {
		args = nil
	}
	return e.step(s.Tasks[0], append(slices.Clip(args), s.Args...))
}

// isNothing reports whether a step of a chain is left out.
func isNothing(s task.Signature) bool {
	return (s.Type == "chain" || s.Type == "group") && !slices.ContainsFunc(s.Tasks, func(m task.Signature) bool { return !isNothing(m) })
}

// group has the members of groups in it among its own.
func (e evaluator) group(members []task.Signature, args []any) any {
	list := []any{}
	for _, m := range members {
		v := e.value(m, args...)
		if hasFailed(v) && len(texts(evaluator{}.value(m))) == 0 {
			v = evaluator{}.value(m) // without a task there is none that could say so
		}
		if m.Type == "group" {
			list = append(list, v.([]any)...)
		} else {
			list = append(list, v)
		}
	}
	return list
}

func hasFailed(v any) bool { return slices.Contains(texts(v), any(failed{})) }

// texts are what came of tasks, of all in a list.
func texts(v any) []any {
	list, isList := v.([]any)
	if !isList {
		return []any{v}
	}
	var all []any
	for _, e := range list {
		all = append(all, texts(e)...)
	}
	return all
}

// outcome is what a task makes of its arguments.
func outcome(name string, args []any) string {
	list := text(args)
	return name + "(" + list[1:len(list)-1] + ")"
}

func text(v any) string {
	list, isList := v.([]any)
	if !isList {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = text(e)
	}
	return "[" + strings.Join(parts, " ") + "]"
}
