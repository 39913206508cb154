package canvas

import (
	"cmp"
	"io"

	"github.com/seed-399731e2/taskq/task"
)

// WriteDot writes the tree as a graph for Graphviz. The colours are the states: green for what has succeeded, red for what has failed,
// yellow for what runs or is tried again, white for what nobody knows of yet.
func (n *Node) WriteDot(w io.Writer) error {
	g := newGraph("results")
	g.result(n, map[string]bool{})
	return g.write(w)
}

// result adds a task or group and what is below it. The members of the frame that it stands in are its ends.
func (g *graph) result(n *Node, members map[string]bool) ends {
	var e ends
	switch {
	case n.Ref.Group && len(n.Children) == 0:
		name := g.node("empty group", ", style=dotted")
		e = ends{first: []string{name}, last: []string{name}}
	case n.Ref.Group:
		e = g.members(n)
	default:
		name := g.node(cmp.Or(nameOf(n.Meta), "task")+"\n"+n.Ref.ID+"\n"+string(n.Meta.State), `, style="rounded,filled", fillcolor=`+colour(n.Meta.State))
		e.first = []string{name}
		if members[n.Ref.ID] {
			e.last = e.first
		}
		for _, child := range n.Children {
			c := g.result(child, members)
			e.last = append(e.last, c.last...)
			for _, to := range c.first {
				g.edge(name, to, "")
			}
		}
	}
	for _, next := range n.Then {
		e = g.follow(e, g.result(next, map[string]bool{next.Ref.ID: true}))
	}
	return e
}

func (g *graph) members(group *Node) ends {
	ids := map[string]bool{}
	for _, ref := range group.Ref.Members {
		ids[ref.ID] = true
	}
	var e ends
	g.frame("group "+group.Ref.ID, func() {
		for _, member := range group.Children {
			m := g.result(member, ids)
			e.first, e.last = append(e.first, m.first...), append(e.last, m.last...)
		}
	})
	return e
}

func nameOf(meta task.Meta) string {
	if meta.Extended == nil {
		return ""
	}
	return meta.Extended.Name
}

func colour(state task.State) string {
	switch state {
	case task.Success:
		return "palegreen"
	case task.Failure:
		return "lightcoral"
	case task.Revoked, "IGNORED", "REJECTED":
		return "lightgrey"
	case task.Pending, "":
		return "white"
	}
	return "lightyellow"
}
