package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/cli/console"
	"github.com/seed-399731e2/taskq/task"
)

// treeInterval is how often a tree is looked up again while it is watched.
const treeInterval = 500 * time.Millisecond

// showTree prints what became of a workflow, with --watch until all of it has ended.
func (f *resultFlags) showTree(ctx context.Context, s *Session, app *taskq.App, id string, limit time.Duration) error {
	result, err := s.saved(ctx, app, id)
	if err != nil {
		return err
	}
	if !f.watch {
		root, err := canvas.Tree(ctx, result, savedGroups(app))
		if err != nil {
			return err
		}
		return s.printTree(root, f.dot)
	}
	var root *canvas.Node
	err = within(ctx, id, limit, func(ctx context.Context) error {
		root, err = s.watchTree(ctx, result, savedGroups(app))
		return err
	})
	if err != nil {
		return err
	}
	if failed := failedNode(root); failed != nil {
		return Exit(Failure, fmt.Errorf("task %s ended in state %s: %w", failed.Ref.ID, failed.Meta.State, failed.Meta.Err()))
	}
	return nil
}

// handle is the result of a task, or, when nothing is known of one, that of a group or workflow that was saved under the id.
func (s *Session) handle(ctx context.Context, app *taskq.App, id string) (*task.Result[any], error) {
	result := app.Result(id)
	if meta, err := result.Meta(ctx); err != nil || meta.State != task.Pending {
		return result, nil //nolint:nilerr // whoever waits for the result tells
	}
	return s.saved(ctx, app, id)
}

// saved is the result of a group or workflow that was saved under the id, or else of the task that has it. That of a workflow knows what
// comes before its last task, as no result of that one does before it runs, nor after it was given up.
func (s *Session) saved(ctx context.Context, app *taskq.App, id string) (*task.Result[any], error) {
	ref, found, err := savedGroups(app)(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return app.Result(id), nil
	case len(ref.Members) == 1 && ref.Members[0].ID == id: // a workflow, see saveWorkflow
		ref = ref.Members[0]
	}
	return app.Result(id).Related(ref), nil
}

// savedGroups finds the groups in the application's result store.
func savedGroups(app *taskq.App) canvas.Groups {
	return func(ctx context.Context, id string) (task.Ref, bool, error) {
		group, err := app.Group(ctx, id)
		switch {
		case errors.Is(err, task.ErrUnknownGroup), errors.Is(err, errors.ErrUnsupported):
			return task.Ref{}, false, nil
		case err != nil:
			return task.Ref{}, false, err
		}
		return group.Ref(), true, nil
	}
}

// watchTree prints the tree whenever it has changed, on a terminal in the place of the one before, until all of it has ended.
func (s *Session) watchTree(ctx context.Context, result *task.Result[any], groups canvas.Groups) (*canvas.Node, error) {
	ticker := time.NewTicker(treeInterval)
	defer ticker.Stop()
	terminal := console.WantsColor("auto", s.command.OutOrStdout(), s.program.getenv)
	var last string
	for {
		root, err := canvas.Tree(ctx, result, groups)
		if err != nil {
			return nil, err
		}
		text, err := s.treeText(root)
		if err != nil {
			return nil, err
		}
		if text != last {
			if err := s.redraw(text, last, terminal); err != nil {
				return nil, err
			}
			last = text
		}
		if root.Ready() {
			return root, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}

func (s *Session) redraw(text, last string, terminal bool) error {
	switch {
	case last == "":
	case terminal:
		text = fmt.Sprintf("\x1b[%dF\x1b[J", strings.Count(last, "\n")) + text // to where it began, and clear what follows
	case !s.JSON():
		text = "\n" + text
	}
	_, err := s.Out.Write([]byte(text))
	return err
}

func (s *Session) printTree(root *canvas.Node, dot bool) error {
	if dot {
		return root.WriteDot(s.Out)
	}
	text, err := s.treeText(root)
	if err == nil {
		_, err = s.Out.Write([]byte(text))
	}
	return err
}

func (s *Session) treeText(root *canvas.Node) (string, error) {
	var text bytes.Buffer
	if s.JSON() {
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err := enc.Encode(jsonNode(root))
		return text.String(), err
	}
	err := drawBoxes(&text, resultBox(root))
	return text.String(), err
}

// failedNode is the first task in the tree that has failed, nil when none has.
func failedNode(n *canvas.Node) *canvas.Node {
	if !n.Ref.Group && n.Meta.State.Ready() && n.Meta.State != task.Success {
		return n
	}
	for _, list := range [][]*canvas.Node{n.Children, n.Then} {
		for _, child := range list {
			if failed := failedNode(child); failed != nil {
				return failed
			}
		}
	}
	return nil
}

// resultBox draws a task or group with what is below it. What a task alone has sent, as a chain's step sends the next one, stands below it.
func resultBox(n *canvas.Node) box {
	b := box{label: nodeName(n), cells: []string{string(cmp.Or(n.Meta.State, task.Pending)), n.Ref.ID, outcomeText(n)}}
	children := resultBoxes(n.Children)
	if n.More {
		children = append(children, box{label: "…"})
	}
	if !n.Ref.Group && len(children) == 1 {
		b.next = children
	} else {
		b.children = children
	}
	b.next = append(b.next, resultBoxes(n.Then)...)
	return b
}

func resultBoxes(nodes []*canvas.Node) []box {
	boxes := make([]box, len(nodes))
	for i, n := range nodes {
		boxes[i] = resultBox(n)
	}
	return boxes
}

func nodeName(n *canvas.Node) string {
	switch {
	case n.Ref.Group:
		return "group of " + fmt.Sprint(len(n.Ref.Members))
	case n.Meta.Extended != nil && n.Meta.Extended.Name != "":
		return n.Meta.Extended.Name
	}
	return "task"
}

// outcomeText is a result or an error in a few letters.
func outcomeText(n *canvas.Node) string {
	if n.Ref.Group || n.Meta.State == "" || n.Meta.State == task.Pending {
		return ""
	}
	text := string(rawResult(n.Meta))
	if remote, failed := errors.AsType[*task.RemoteError](n.Meta.Err()); failed {
		text = remote.Error()
	}
	return cutRunes(text, 60)
}

// nodeJSON is a node as -o json prints it.
type nodeJSON struct {
	outcome
	Group    bool       `json:"group,omitempty"`
	Children []nodeJSON `json:"children,omitempty"`
	Then     []nodeJSON `json:"then,omitempty"`
	More     bool       `json:"more,omitempty"`
}

func jsonNode(n *canvas.Node) nodeJSON {
	remote, _ := errors.AsType[*task.RemoteError](n.Meta.Err())
	out := nodeJSON{outcome: jsonOutcome(n.Meta, remote), Group: n.Ref.Group, More: n.More}
	out.ID, out.outcome.Children = n.Ref.ID, nil
	for _, child := range n.Children {
		out.Children = append(out.Children, jsonNode(child))
	}
	for _, next := range n.Then {
		out.Then = append(out.Then, jsonNode(next))
	}
	return out
}
