package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/task"
)

// notation prints a workflow: (a|b) is a chain, {a b} a group, [a b]>c a chord.
func notation(s task.Signature) string {
	parts := make([]string, len(s.Tasks))
	for i, part := range s.Tasks {
		parts[i] = notation(part)
	}
	var out string
	switch s.Type {
	case "chain":
		out = "(" + strings.Join(parts, "|") + ")"
	case "group":
		out = "{" + strings.Join(parts, " ") + "}"
	case "chord":
		out = "[" + strings.Join(parts, " ") + "]>" + notation(*s.Body)
	default:
		out = s.Task
	}
	if len(s.Args) > 0 {
		out += fmt.Sprint(s.Args)
	}
	if s.Immutable {
		out += "!"
	}
	return out
}

// parse reads a workflow without arguments.
func parse(t *testing.T, text string) task.Signature {
	t.Helper()
	p := &parser{text}
	s := p.signature()
	if p.rest != "" {
		t.Fatalf("%s: %q is left", text, p.rest)
	}
	return s
}

type parser struct{ rest string }

func (p *parser) signature() task.Signature {
	kind, end := map[byte]string{'(': "chain", '{': "group", '[': "chord"}[p.rest[0]], map[byte]byte{'(': ')', '{': '}', '[': ']'}[p.rest[0]]
	if kind == "" {
		n := strings.IndexAny(p.rest+" ", "|>(){}[] ")
		s := task.Signature{Task: p.rest[:n]}
		p.rest = p.rest[n:]
		return s
	}
	s := task.Signature{Task: "celery." + kind, Type: kind}
	for p.rest = p.rest[1:]; p.rest[0] != end; p.rest = strings.TrimLeft(p.rest, "| ") {
		s.Tasks = append(s.Tasks, p.signature())
	}
	if p.rest = p.rest[1:]; kind == "chord" {
		p.rest = p.rest[1:]
		body := p.signature()
		s.Body = &body
	}
	return s
}
