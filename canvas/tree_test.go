package canvas_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// kept returns a store with the outcomes.
func kept(t *testing.T, metas ...task.Meta) *mem.Backend {
	t.Helper()
	store := mem.New(mem.Config{})
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	for _, meta := range metas {
		if err := store.Store(t.Context(), meta); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// done is the outcome of a task that has succeeded and sent something.
func done(id, parent, group string, children ...task.Ref) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw("1"), ParentID: parent, GroupID: group, Children: append([]task.Ref{}, children...), DoneAt: time.Now()}
}

func refs(ids ...string) []task.Ref {
	var list []task.Ref
	for _, id := range ids {
		list = append(list, task.Ref{ID: id})
	}
	return list
}

func group(id string, members ...string) task.Ref {
	return task.Ref{ID: id, Group: true, Members: refs(members...)}
}

// outline is a tree in one line: what a node has below it in parentheses, what follows it behind an arrow.
func outline(n *canvas.Node) string {
	text := n.Ref.ID + ":" + strings.ToLower(string(n.Meta.State))[:1]
	var parts []string
	for _, child := range n.Children {
		parts = append(parts, outline(child))
	}
	if parts != nil {
		text += "(" + strings.Join(parts, " ") + ")"
	}
	for _, next := range n.Then {
		text += ">" + outline(next)
	}
	return text
}

func treeOf(t *testing.T, store task.Results, ref task.Ref, groups canvas.Groups) *canvas.Node {
	t.Helper()
	root, err := canvas.Tree(t.Context(), task.ResultAt[any](ref, store), groups)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestATreeGoesFromTheFirstTaskToTheLast(t *testing.T) {
	t.Parallel()
	chain := []task.Meta{done("a", "", "", task.Ref{ID: "b"}), done("b", "a", "", task.Ref{ID: "c"}), done("c", "b", "")}
	// a | group(m1, m2) | d | e: the body d is sent by m2, whose children are stored by then
	chord := []task.Meta{
		done("a", "", "", group("g", "m1", "m2")), done("m1", "a", "g", task.Ref{ID: "x"}), done("x", "m1", ""), done("m2", "a", "g"),
		done("d", "m2", "g", task.Ref{ID: "e"}), done("e", "d", ""),
	}
	header := group("g", "m1", "m2")
	steps := task.Ref{ID: "s2", Parent: &task.Ref{ID: "s1"}}
	for _, tt := range []struct {
		name  string
		metas []task.Meta
		ref   task.Ref
		want  string
	}{
		{"a chain, from its end", chain, task.Ref{ID: "c"}, "a:s(b:s(c:s))"},
		{"a chain, from its middle", chain, task.Ref{ID: "b"}, "a:s(b:s(c:s))"},
		{"a chain that runs, from its handle", chain[:1], task.Ref{ID: "c", Parent: &task.Ref{ID: "b", Parent: &task.Ref{ID: "a"}}}, "a:s(b:p(c:p))"},
		{"a chord in a chain, from its end", chord, task.Ref{ID: "e"}, "a:s(g:s(m1:s(x:s) m2:s)>d:s(e:s))"},
		{"a chord in a chain, from its beginning", chord, task.Ref{ID: "a"}, "a:s(g:s(m1:s(x:s) m2:s))"},
		{"a chord that a client sent, from its handle", nil, task.Ref{ID: "d", Parent: &header}, "g:p(m1:p m2:p)>d:p"},
		{"a chord that a client sent, from its body", []task.Meta{done("m2", "", "g"), done("d", "m2", "")}, task.Ref{ID: "d"}, "g:s(m2:s)>d:s"},
		{"a group of chains", []task.Meta{done("s1", "", "", task.Ref{ID: "s2"})}, task.Ref{ID: "g", Group: true, Members: []task.Ref{steps, {ID: "m"}}}, "g:p(s1:s(s2:p) m:p)"},
		{"a group of chains that a task sent", []task.Meta{
			done("a", "", "", task.Ref{ID: "g", Group: true, Members: []task.Ref{steps, {ID: "m"}}, Parent: &task.Ref{ID: "a"}}),
			done("s1", "a", "", task.Ref{ID: "s2"}), done("s2", "s1", "g"), done("m", "a", "g"),
		}, task.Ref{ID: "s2"}, "a:s(g:s(s1:s(s2:s) m:s))"},
		{"a group that a member of a group sent", []task.Meta{done("m", "", "g", group("h", "x", "y")), done("x", "m", "h")}, task.Ref{ID: "x"}, "m:s(h:p(x:s y:p))"},
		{"an empty group", nil, task.Ref{ID: "g", Group: true}, "g:s"},
		{"nothing is known", nil, task.Ref{ID: "a"}, "a:p"},
		{"a parent that nobody knows any more", []task.Meta{done("b", "a", "")}, task.Ref{ID: "b"}, "a:p(b:s)"},
		{"a task that was tried again", []task.Meta{done("a", "", "", task.Ref{ID: "a"})}, task.Ref{ID: "a"}, "a:s"},
		{"a circle", []task.Meta{done("a", "b", "", task.Ref{ID: "b"}), done("b", "a", "", task.Ref{ID: "a"})}, task.Ref{ID: "a"}, "b:s(a:s)"},
		{"a failed member", []task.Meta{{ID: "m1", State: task.Failure, Result: codec.Raw(`{}`)}}, header, "g:f(m1:f m2:p)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := outline(treeOf(t, kept(t, tt.metas...), tt.ref, nil)); got != tt.want {
				t.Errorf("tree = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSavedGroupsCompleteATree(t *testing.T) {
	t.Parallel()
	groups := func(_ context.Context, id string) (task.Ref, bool, error) {
		return group(id, "m1", "m2"), id == "g", nil
	}
	store := kept(t, done("m1", "", "g"), done("m2", "", "g"), done("d", "m2", ""))
	if err := store.Store(t.Context(), task.Meta{ID: "f", State: task.Failure, Result: codec.Raw("{}"), GroupID: "g"}); err != nil { // a body that was not run
		t.Fatal(err)
	}
	for id, want := range map[string]string{"d": "g:s(m1:s m2:s)>d:s", "m1": "g:s(m1:s m2:s)", "f": "g:s(m1:s m2:s)>f:f"} {
		if got := outline(treeOf(t, store, task.Ref{ID: id}, groups)); got != want {
			t.Errorf("tree of %s = %s, want %s", id, got, want)
		}
	}
	broken := func(context.Context, string) (task.Ref, bool, error) {
		return task.Ref{}, false, errors.New("the store is away")
	}
	if _, err := canvas.Tree(t.Context(), task.ResultAt[any](task.Ref{ID: "d"}, store), broken); err == nil || !strings.Contains(err.Error(), "tree of d: the store is away") {
		t.Errorf("err = %v", err)
	}
}

func TestATreeIsBounded(t *testing.T) {
	t.Parallel()
	store := kept(t)
	many := task.Ref{ID: "g", Group: true}
	for i := range 10_500 {
		many.Members = append(many.Members, task.Ref{ID: fmt.Sprint(i)})
	}
	root := treeOf(t, store, many, nil)
	if !root.More || len(root.Children) != 9_999 {
		t.Errorf("%d members are in the tree (more: %t), want 9999 and more", len(root.Children), root.More)
	}
	long := task.Ref{ID: "0"}
	for i := range 20_000 {
		above := long
		long = task.Ref{ID: fmt.Sprint(i + 1), Parent: &above}
	}
	count := 0
	for n := treeOf(t, store, long, nil); n != nil; count++ {
		if len(n.Children) == 0 {
			break
		}
		n = n.Children[0]
	}
	if count != 9_999 {
		t.Errorf("the tree has %d tasks below the first one, want 9999", count)
	}
}

func TestATreeIsReadyOnceAllOfItHasEnded(t *testing.T) {
	t.Parallel()
	header := group("g", "m1", "m2")
	store := kept(t, done("m1", "", "g"))
	for _, meta := range []task.Meta{done("m2", "", "g"), {ID: "d", State: task.Started}, done("d", "m2", "", task.Ref{ID: "e"}), {ID: "e", State: "IGNORED"}} {
		if treeOf(t, store, task.Ref{ID: "d", Parent: &header}, nil).Ready() {
			t.Errorf("ready before %s is %s", meta.ID, meta.State)
		}
		if err := store.Store(t.Context(), meta); err != nil {
			t.Fatal(err)
		}
	}
	if !treeOf(t, store, task.Ref{ID: "d", Parent: &header}, nil).Ready() {
		t.Error("not ready at the end")
	}
}

func TestATreeIsAGraph(t *testing.T) {
	t.Parallel()
	store := kept(t,
		done("a", "", "", group("g", "m1", "m2")), done("m1", "a", "g", task.Ref{ID: "x"}), done("m2", "a", "g"),
		task.Meta{ID: "d", State: task.Failure, Result: codec.Raw(`{}`), ParentID: "m2", Extended: &task.Extended{Name: `sum "all"`}},
	)
	var text strings.Builder
	if err := treeOf(t, store, task.Ref{ID: "d"}, nil).WriteDot(&text); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ *(n\d+) \[label="((?:[^"\\]|\\.)*)".*?(?:fillcolor=(\w+))?\];$`).FindAllStringSubmatch(text.String(), -1) {
		labels[m[1]] = m[2] + " " + m[3]
	}
	edges := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *(n\d+) -> (n\d+)`).FindAllStringSubmatch(text.String(), -1) {
		edges[labels[m[1]]+" > "+labels[m[2]]] = true
	}
	for _, want := range []string{
		`task\na\nSUCCESS palegreen > task\nm1\nSUCCESS palegreen`, `task\na\nSUCCESS palegreen > task\nm2\nSUCCESS palegreen`,
		`task\nm1\nSUCCESS palegreen > task\nx\nPENDING white`, `task\nm1\nSUCCESS palegreen >  `, `task\nm2\nSUCCESS palegreen >  `,
		`  > sum \"all\"\nd\nFAILURE lightcoral`,
	} {
		if !edges[want] {
			t.Errorf("no arrow %q in\n%s", want, text.String())
		}
		delete(edges, want)
	}
	if len(edges) > 0 || strings.Count(text.String(), "{") != strings.Count(text.String(), "}") || !strings.Contains(text.String(), `label="group g"`) {
		t.Errorf("more arrows %v, or no frame, in\n%s", edges, text.String())
	}
}
