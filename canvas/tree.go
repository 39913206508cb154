package canvas

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/task"
)

// maxTreeNodes bounds a tree: what is beyond is left out, and Node.More says so.
const maxTreeNodes = 10_000

// Node is a task or a group in what became of a workflow.
type Node struct {
	// Ref is what the result is kept under.
	Ref task.Ref
	// Meta is what is known of the task; its state is Pending when nothing is. A group's has the state of all of it: Failure once one has
	// failed, Success once all have succeeded, and Pending before.
	Meta task.Meta
	// Children are what the task has sent, or the members of the group.
	Children []*Node
	// Then is what follows a group once all of it has succeeded: the body of a chord.
	Then []*Node
	// More is set when the node has children that the tree has no room for.
	More bool
}

// Groups finds saved groups; a store that keeps none may leave it nil.
type Groups func(ctx context.Context, id string) (group task.Ref, found bool, err error)

// Tree looks up what became of a workflow (celery/result.py, iterdeps): it climbs from a result to what was sent first, and goes from
// there through all that was sent. The result of a workflow's last step is the one to ask with: a store knows of each task what that one
// has sent, and who has sent it, but of a chord's header not what its body is. The handle that Send returns knows all of it.
//
// groups, which may be nil, finds the other tasks of a group of which one is known. A tree has 10,000 nodes at the most.
func Tree(ctx context.Context, r *task.Result[any], groups Groups) (*Node, error) {
	t := &tree{
		results: r, groups: groups, most: maxTreeNodes,
		metas: map[string]task.Meta{}, links: map[string][]task.Ref{}, nodes: map[string]*Node{},
	}
	root, err := t.climb(ctx, r.Ref())
	if err != nil {
		return nil, fmt.Errorf("canvas: tree of %s: %w", r.ID(), err)
	}
	node, err := t.node(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("canvas: tree of %s: %w", r.ID(), err)
	}
	return node, nil
}

// Ready reports whether all of the node, of what is below it and of what follows is final.
func (n *Node) Ready() bool {
	if !n.Ref.Group && !n.Meta.State.Ready() && n.Meta.State != "IGNORED" {
		return false
	}
	for _, list := range [][]*Node{n.Children, n.Then} {
		for _, child := range list {
			if !child.Ready() {
				return false
			}
		}
	}
	return true
}
