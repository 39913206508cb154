package canvas

import (
	"context"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// tree is one in the making.
type tree struct {
	results *task.Result[any]
	groups  Groups
	most    int                   // nodes
	metas   map[string]task.Meta  // what was looked up, by id
	links   map[string][]task.Ref // what follows a task or a group, as handles and parents' ids tell, by id
	nodes   map[string]*Node      // by id
}

func (t *tree) meta(ctx context.Context, id string) (task.Meta, error) {
	if meta, ok := t.metas[id]; ok {
		return meta, nil
	}
	meta, err := t.results.Related(task.Ref{ID: id}).Meta(ctx)
	if err == nil {
		t.metas[id] = meta
	}
	return meta, err
}

// climb goes to what was sent first, and notes on the way what no store tells of what follows.
func (t *tree) climb(ctx context.Context, ref task.Ref) (task.Ref, error) {
	seen := map[string]bool{}
	for len(seen) < t.most {
		seen[ref.ID] = true
		above, err := t.above(ctx, ref)
		if err != nil || above == nil || seen[above.ID] {
			return t.top(ref), err
		}
		ref = *above
	}
	return ref, nil
}

// above is what a task or group comes from, nil when nobody knows.
func (t *tree) above(ctx context.Context, ref task.Ref) (*task.Ref, error) {
	switch {
	case ref.Parent != nil:
		t.link(ref.Parent.ID, ref)
		return ref.Parent, nil
	case !ref.Group:
		return t.sender(ctx, ref)
	case len(ref.Members) == 0:
		return nil, nil
	}
	first := t.top(ref.Members[0])
	if first.Group {
		return nil, nil
	}
	meta, err := t.meta(ctx, first.ID)
	if err != nil || meta.ParentID == "" {
		return nil, err
	}
	parent, err := t.meta(ctx, meta.ParentID)
	if err == nil && !mentions(parent.Children, ref.ID) {
		t.link(meta.ParentID, ref)
	}
	return &task.Ref{ID: meta.ParentID}, err
}

// sender finds out who has sent a task. The body of a chord is sent by the task of the header that ended last, after that one's children
// were stored: it stands in nobody's list.
func (t *tree) sender(ctx context.Context, ref task.Ref) (*task.Ref, error) {
	meta, err := t.meta(ctx, ref.ID)
	if err != nil {
		return nil, err
	}
	if meta.ParentID == "" {
		if meta.GroupID == "" {
			return nil, nil
		}
		group, err := t.group(ctx, meta.GroupID, nil)
		if group != nil && !mentions(group.Members, ref.ID) { // it is the body, which failed without being run
			t.link(group.ID, ref)
		}
		return group, err
	}
	parent, err := t.meta(ctx, meta.ParentID)
	if err != nil {
		return nil, err
	}
	above := &task.Ref{ID: meta.ParentID}
	if mentions(parent.Children, ref.ID) {
		return above, nil
	}
	if parent.State.Ready() && parent.GroupID != "" {
		if above, err = t.group(ctx, parent.GroupID, above); err != nil {
			return nil, err
		}
	}
	t.link(above.ID, ref)
	return above, nil
}

// group is a group that was saved, or else as much of it as is known: one of its tasks, or nothing.
func (t *tree) group(ctx context.Context, id string, member *task.Ref) (*task.Ref, error) {
	if t.groups != nil {
		if ref, found, err := t.groups(ctx, id); err != nil || found {
			return &ref, err
		}
	}
	if member == nil {
		return nil, nil
	}
	return &task.Ref{ID: id, Group: true, Members: []task.Ref{*member}}, nil
}

func (t *tree) link(id string, ref task.Ref) {
	if !slices.ContainsFunc(t.links[id], func(r task.Ref) bool { return r.ID == ref.ID }) {
		t.links[id] = append(t.links[id], ref)
	}
}

// top is what was sent first of what a result stands for, as far as the handle tells and it is not in the tree: a chain's first step.
func (t *tree) top(ref task.Ref) task.Ref {
	for ref.Parent != nil && t.nodes[ref.Parent.ID] == nil {
		t.link(ref.Parent.ID, ref)
		ref = *ref.Parent
	}
	return ref
}

// mentions reports whether an id is among results, those in groups included.
func mentions(refs []task.Ref, id string) bool {
	return slices.ContainsFunc(refs, func(ref task.Ref) bool {
		return ref.ID == id || mentions(ref.Members, id)
	})
}

// node goes through what was sent, and looks up each outcome. It returns nil for what is in the tree already, as a retry is that has its
// task's id.
func (t *tree) node(ctx context.Context, ref task.Ref) (*Node, error) {
	if t.nodes[ref.ID] != nil {
		return nil, nil
	}
	n := &Node{Ref: ref}
	t.nodes[ref.ID] = n
	var err error
	if !ref.Group {
		if n.Meta, err = t.meta(ctx, ref.ID); err != nil {
			return nil, err
		}
	}
	below := n.Meta.Children
	if ref.Group {
		below = ref.Members
	}
	if n.Children, err = t.below(ctx, n, below); err != nil {
		return nil, err
	}
	follow, err := t.below(ctx, n, t.links[ref.ID])
	if ref.Group {
		n.Then, n.Meta = follow, task.Meta{ID: ref.ID, State: t.state(ref)}
	} else {
		n.Children = append(n.Children, follow...)
	}
	return n, err
}

func (t *tree) below(ctx context.Context, n *Node, refs []task.Ref) ([]*Node, error) {
	var list []*Node
	for _, ref := range refs {
		ref = t.top(ref)
		if len(t.nodes) >= t.most {
			n.More = true
			return list, nil
		}
		child, err := t.node(ctx, ref)
		if err != nil {
			return nil, err
		}
		if child != nil {
			list = append(list, child)
		}
	}
	return list, nil
}

// state is that of a group whose members are in the tree, as task.Result.State has it.
func (t *tree) state(group task.Ref) task.State {
	sum := task.Success
	for _, member := range group.Members {
		state := task.Pending
		if n := t.nodes[member.ID]; n != nil {
			state = n.Meta.State
		}
		switch {
		case state.Ready() && state != task.Success:
			return task.Failure
		case state != task.Success:
			sum = task.Pending
		}
	}
	return sum
}
