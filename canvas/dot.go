package canvas

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-399731e2/taskq/task"
)

// WriteDot writes a workflow as a graph for Graphviz: an arrow leads from each task to what is called with its result. Groups are
// frames, dots stand where all of a group must have ended, dashed arrows are links, red ones are for errors.
func WriteDot(w io.Writer, s task.Signature) error {
	g := newGraph("workflow")
	g.add(s)
	return g.write(w)
}

// graph is a text in Graphviz's language in the making.
type graph struct {
	text   strings.Builder
	indent int
	count  int
}

func newGraph(name string) *graph {
	g := &graph{}
	g.line("digraph %s {", name)
	g.indent++
	g.line("rankdir=LR;")
	g.line(`node [shape=box, style=rounded, fontname="sans-serif"];`)
	return g
}

func (g *graph) write(w io.Writer) error {
	_, err := io.WriteString(w, g.text.String()+"}\n")
	return err
}

func (g *graph) line(format string, args ...any) {
	g.text.WriteString(strings.Repeat("  ", g.indent))
	fmt.Fprintf(&g.text, format, args...)
	g.text.WriteByte('\n')
}

// node adds a node and returns its name. attributes are more of them, each with a comma in front.
func (g *graph) node(label, attributes string) string {
	g.count++
	name := fmt.Sprintf("n%d", g.count)
	g.line("%s [label=%s%s];", name, quote(label), attributes)
	return name
}

func (g *graph) edge(from, to, attributes string) { g.line("%s -> %s%s;", from, to, attributes) }

// frame puts what inside adds into a frame.
func (g *graph) frame(label string, inside func()) {
	g.count++
	g.line("subgraph cluster_%d {", g.count)
	g.indent++
	g.line("label=%s;", quote(label))
	inside()
	g.indent--
	g.line("}")
}

// ends are the nodes that a part of a graph begins and ends with.
type ends struct {
	first, last []string
}

// add adds a signature and what follows it.
func (g *graph) add(s task.Signature) ends {
	var e ends
	switch s.Type {
	case "chain":
		for _, step := range s.Tasks {
			e = g.follow(e, g.add(step))
		}
	case "group":
		e = g.group("group", s.Tasks)
	case "chord":
		header := s.Tasks
		if len(header) == 1 && header[0].Type == "group" {
			header = header[0].Tasks
		}
		e = g.group("header", header)
		if s.Body != nil {
			e = g.follow(e, g.add(*s.Body))
		}
	default:
		name := g.node(label(s), "")
		e = ends{first: []string{name}, last: []string{name}}
	}
	for _, step := range s.Chain {
		e = g.follow(e, g.add(step))
	}
	g.links(e, s.Link, " [style=dashed]")
	g.links(e, s.LinkError, ` [style=dashed, color=red]`)
	return e
}

func (g *graph) group(name string, members []task.Signature) ends {
	if len(members) == 0 {
		node := g.node("empty "+name, ", style=dotted")
		return ends{first: []string{node}, last: []string{node}}
	}
	var e ends
	g.frame(name, func() {
		for _, member := range members {
			m := g.add(member)
			e.first, e.last = append(e.first, m.first...), append(e.last, m.last...)
		}
	})
	return e
}

// follow draws the arrows from one part to the next. Where several must have ended a dot stands for all.
func (g *graph) follow(e, next ends) ends {
	if e.first == nil {
		return next
	}
	from := e.last
	if len(from) > 1 {
		dot := g.node("", ", shape=point")
		for _, node := range from {
			g.edge(node, dot, " [arrowhead=none]")
		}
		from = []string{dot}
	}
	for _, to := range next.first {
		g.edge(from[0], to, "")
	}
	return ends{first: e.first, last: next.last}
}

// links draws what hangs on the end of a part.
func (g *graph) links(e ends, list []task.Signature, attributes string) {
	for _, s := range list {
		for _, to := range g.add(s).first {
			for _, from := range e.last {
				g.edge(from, to, attributes)
			}
		}
	}
}

// label is a task as a node shows it: the name, and the arguments unless they are not to be shown.
func label(s task.Signature) string {
	if mapped, ok := s.Kwargs["task"].(task.Signature); ok {
		return strings.TrimPrefix(s.Task, "celery.") + " " + mapped.Task
	}
	var args []string
	for _, v := range s.Args {
		args = append(args, task.Repr(v))
	}
	text := strings.Join(args, ", ")
	if s.ArgsRepr != "" {
		text = strings.Trim(s.ArgsRepr, "()")
	}
	if r := []rune(text); len(r) > 40 {
		text = string(r[:39]) + "…"
	}
	text = s.Task + "(" + text + ")"
	if s.Queue != "" {
		text += "\nqueue " + s.Queue
	}
	return text
}

// quote is a text as Graphviz reads it. Only the quotation mark and the backslash mean something in it.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(text) + `"`
}
