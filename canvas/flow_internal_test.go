package canvas

import (
	"context"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/task"
)

type sumArgs struct {
	X    int    `task:"x"`
	Y    int    `task:"y"`
	Note string `task:"note,optional"`
	Mode string `task:"mode,keyword,optional"`
}

func addTask() *task.Task[sumArgs, int]      { return task.Remote[sumArgs, int]("tasks.add") }
func sumTask() *task.Task[[]int, int]        { return task.Remote[[]int, int]("tasks.xsum") }
func negTask() *task.Task[int, int]          { return task.Remote[int, int]("tasks.neg") }
func totalTask() *task.Task[[][]int, string] { return task.Remote[[][]int, string]("tasks.total") }
func x(a *sumArgs) *int                      { return &a.X }
func addTo(y int) Flow[int, int]             { return Feed(addTask(), x, sumArgs{Y: y}) }
func addOf(a, b int) Flow[None, int]         { return Call(addTask(), sumArgs{X: a, Y: b}) }

func TestAFlowIsTheWorkflowThatItsTypesSay(t *testing.T) {
	t.Parallel()
	both := func() Flow[None, []int] { return All(addOf(1, 1), addOf(2, 2)) }
	for want, flow := range map[string]task.Signature{
		"tasks.add(2, 2)":                                                     addOf(2, 2).Sig(),
		"tasks.add(2, 2) | add(4)":                                            Then(addOf(2, 2), addTo(4)).Sig(),
		"tasks.add(2, 2) | neg() | add(4)":                                    Then(Then(addOf(2, 2), Of(negTask())), addTo(4)).Sig(),
		"tasks.add(2, 2) | add(3, 3)":                                         After(addOf(2, 2), addOf(3, 3)).Sig(),
		"group([tasks.add(1, 1), add(2, 2)])":                                 both().Sig(),
		"%tasks.xsum([add(1, 1), add(2, 2)])":                                 Then(both(), Of(sumTask())).Sig(),
		"%(tasks.xsum([add(1, 1), add(2, 2)]) | neg())":                       Then(Then(both(), Of(sumTask())), Of(negTask())).Sig(),
		"%tasks.xsum([add(1, 1)])":                                            Then(All(addOf(1, 1)), Of(sumTask())).Sig(),
		"%tasks.xsum([])":                                                     Then(All[None, int](), Of(sumTask())).Sig(),
		"tasks.add(2, 2) | group([add(1), add(2)])":                           Then(addOf(2, 2), All(addTo(1), addTo(2))).Sig(),
		"tasks.add(2, 2) | %celery.accumulate([add(1)], index=0)":             Then(addOf(2, 2), All(addTo(1))).Sig(),
		"tasks.add(2, 2) | %(celery.accumulate([add(1)], index=0) | xsum())":  Then(Then(addOf(2, 2), All(addTo(1))), Of(sumTask())).Sig(),
		"%tasks.total([%celery.accumulate([add(1, 1), add(2, 2)], index=0)])": Then(All(both()), Of(totalTask())).Sig(),
		"[tasks.neg(x) for x in [1, 2]]":                                      Each(negTask(), []int{1, 2}).Sig(),
		"[tasks.add(*x) for x in [[1, 2], [3, 4]]]":                           Each(addTask(), []sumArgs{{X: 1, Y: 2}, {X: 3, Y: 4}}).Sig(),
	} {
		if got := Repr(flow); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if err := flow.Validate(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What follows a group gets the whole list, wherever the group stands.
func TestWhatFollowsAGroupIsTheBodyOfAChord(t *testing.T) {
	t.Parallel()
	spread := task.Remote[[]int, int]("tasks.pick")
	picks := All(Of(spread), Of(spread))
	flow := Then(Then(Then(addOf(2, 2), All(addTo(1), addTo(2))), picks), Of(sumTask())).Sig()
	if flow.Type != "chain" || len(flow.Tasks) != 2 {
		t.Fatalf("%s: want a chain of a task and a chord", Repr(flow))
	}
	outer := flow.Tasks[1]
	if outer.Type != "chord" || outer.Body.Type != "chord" || outer.Body.Body.Task != "tasks.xsum" {
		t.Errorf("%s: want a chord whose body is a chord with the body tasks.xsum", Repr(flow))
	}
}

func TestAFlowIntoAFlowGoesOnAtItsEnd(t *testing.T) {
	t.Parallel()
	pick := task.Remote[[]int, int]("tasks.pick")
	spread := Then(All(addOf(1, 1), addOf(2, 2)), All(Of(pick), Of(pick))) // a chord whose body is a group
	flow := Then(spread, Then(Of(sumTask()), Of(negTask()))).Sig()
	if flow.Type != "chord" || flow.Body.Type != "chord" || Repr(*flow.Body.Body) != "tasks.xsum() | neg()" {
		t.Errorf("%s: want a chord whose body is a chord with the chain as body", Repr(flow))
	}
}

func TestAfterDropsTheResult(t *testing.T) {
	t.Parallel()
	flow := After(Call(negTask(), 1), All(addOf(1, 1), addOf(2, 2))).Sig()
	group := flow.Tasks[1]
	if !group.Tasks[0].Immutable || !group.Tasks[1].Immutable {
		t.Errorf("%+v: want immutable members", group)
	}
}

func TestWhatKeepsAListTogetherGoesWhereItsTasksGo(t *testing.T) {
	t.Parallel()
	add := task.Remote[sumArgs, int]("tasks.add", task.Queue("sums"))
	flow := Then(addOf(2, 2), All(Feed(add, x, sumArgs{Y: 1}))).Sig()
	if body := flow.Tasks[1].Body; body.Task != "celery.accumulate" || body.Queue != "sums" {
		t.Errorf("%s goes to the queue %q, want celery.accumulate to sums", body.Task, body.Queue)
	}
}

func TestMistakesInAFlowAreErrorsOfSendingIt(t *testing.T) {
	t.Parallel()
	only := task.Remote[struct {
		Y int `task:"y,keyword"`
	}, int]("tasks.named")
	for want, flow := range map[string]task.Signature{
		"an earlier result is the first argument, and the field is parameter y, number 2": Feed(addTask(), func(a *sumArgs) *int { return &a.Y }, sumArgs{}).Sig(),
		"the parameter x is for the earlier result: leave it out of the rest":             Then(addOf(1, 1), Feed(addTask(), x, sumArgs{X: 1})).Sig(),
		"the parameter mode is by keyword only":                                           Feed(addTask(), func(a *sumArgs) *string { return &a.Mode }, sumArgs{}).Sig(),
		"the pointer is to no parameter of it":                                            Of(addTask()).Sig(),
		"the task takes no positional argument": only.Partial(struct {
			Y int `task:"y,keyword"`
		}{}),
		"item 1 sets an argument that goes by keyword":             Each(addTask(), []sumArgs{{X: 1}, {Note: "no"}}).Sig(),
		"body of the chord: the call names no task":                Chord(calls(add(1)), task.Signature{}),
		"header of the chord[1]: group[0]: the call names no task": Chord(calls(add(1), Group(task.Signature{})), xsum()),
		"the chain has no steps":                                   Chain(),
		"chain[1]: the chord has no body to call":                  Chain(add(1), task.Signature{Task: "celery.chord", Type: "chord", Tasks: calls(add(2))}),
		"parts of 0 items: want 1 or more":                         Chunks(add(), [][]int{{1, 2}}, 0),
		"celery.map: argument task: the call names no task":        Map(task.Signature{}, []int{1}),
		`unknown type of signature "grupp"`:                        {Task: "celery.group", Type: "grupp"},
		"link[0]: the chain has no steps":                          add(1).OnSuccess(Chain()),
		"a task has no parts":                                      {Task: "tasks.add", Tasks: calls(add(1))},
		"a group has no body: make it the header":                  {Task: "celery.group", Type: "group", Body: &task.Signature{Task: "x"}},
	} {
		if err := flow.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

type recorder struct{ sent []task.Signature }

func (r *recorder) Send(_ context.Context, s task.Signature) (*task.Result[any], error) {
	r.sent = append(r.sent, s)
	return task.NewResult[any]("1", nil), s.Validate()
}

func TestAFlowIsSentWithTheTypeOfItsResult(t *testing.T) {
	t.Parallel()
	var app recorder
	flow := Then(All(addOf(1, 1)), Of(totalOf())).With(task.Queue("sums")).OnError(note())
	var result *task.Result[string]
	result, err := Send(t.Context(), &app, flow)
	if err != nil || result.ID() != "1" {
		t.Fatalf("got %v, %v", result, err)
	}
	if diff := cmp.Diff([]task.Signature{flow.Sig()}, app.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if _, err := Send(t.Context(), &app, As[None, int](Chain())); err == nil {
		t.Error("a chain without steps was sent")
	}
}

func totalOf() *task.Task[[]int, string] { return task.Remote[[]int, string]("tasks.total") }

func TestTheCompilerRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	exports := exportData(t)
	for code, want := range map[string]string{
		`canvas.Then(canvas.Call(add, Add{}), canvas.Of(neg))`:             "",
		`canvas.Then(canvas.Call(add, Add{}), canvas.Of(upper))`:           "does not match",
		`canvas.Then(canvas.Call(add, Add{}), canvas.Of(sum))`:             "does not match",
		`canvas.Then(canvas.All(canvas.Call(add, Add{})), canvas.Of(sum))`: "",
		`canvas.Then(canvas.All(canvas.Call(add, Add{})), canvas.Of(neg))`: "does not match",
		`canvas.Feed(add, func(a *Add) *int { return &a.X }, Add{})`:       "",
		`canvas.Feed(add, func(a *Add) *string { return &a.X }, Add{})`:    "cannot use",
		`canvas.Send(nil, nil, canvas.Of(neg))`:                            "does not match",
		`canvas.Send(nil, nil, canvas.Call(add, Add{}))`:                   "",
		`canvas.All(canvas.Call(add, Add{}), canvas.Of(neg))`:              "does not match",
	} {
		err := check(t, exports, code)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", code, err, want)
		}
	}
}

func check(t *testing.T, exports map[string]string, code string) error {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "flow.go", fmt.Sprintf(`package p
import ("github.com/seed-399731e2/taskq/canvas"; "github.com/seed-399731e2/taskq/task")
type Add struct{ X, Y int }
func f() {
	add, neg := task.Remote[Add, int]("add"), task.Remote[int, int]("neg")
	upper, sum := task.Remote[string, string]("upper"), task.Remote[[]int, int]("sum")
	_, _, _, _ = add, neg, upper, sum
	g(%s)
}
func g(...any) {}`, code), 0)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	_, err = conf.Check("p", files, []*ast.File{file}, nil)
	return err
}

// exportData are the compiled packages that canvas needs, and itself, by path.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[path] = file
	}
	return exports
}
