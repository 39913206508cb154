package canvas_test

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
)

// Sum are the arguments of the tasks that add.
type Sum struct {
	X int `task:"x"`
	Y int `task:"y"`
}

func add(_ context.Context, s Sum) (int, error) { return s.X + s.Y, nil }

func total(_ context.Context, list []int) (sum int, err error) {
	for _, n := range list {
		sum += n
	}
	return sum, nil
}

func ExampleChain() {
	add := task.New("tasks.add", add)
	flow := canvas.Chain(
		add.S(Sum{X: 2, Y: 2}),
		add.Partial(Sum{Y: 4}), // the first argument is the 4 that comes of 2 + 2
		add.Partial(Sum{Y: 8}),
	)
	fmt.Println(canvas.Repr(flow))
	// Output: tasks.add(2, 2) | add(4) | add(8)
}

func ExampleChain_group() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	flow := canvas.Chain(
		add.S(Sum{X: 2, Y: 2}),
		canvas.Group(add.Partial(Sum{Y: 1}), add.Partial(Sum{Y: 2})),
		total.Partial(nil), // gets the list of both results: the group is the header of a chord
	)
	fmt.Println(canvas.Repr(flow))
	// Output: tasks.add(2, 2) | %total([add(1), add(2)])
}

func ExampleGroup() {
	add := task.New("tasks.add", add)
	flow := canvas.Group(add.S(Sum{X: 1, Y: 1}), add.S(Sum{X: 2, Y: 2}))
	fmt.Println(canvas.Repr(flow))
	// Output: group([tasks.add(1, 1), add(2, 2)])
}

func ExampleChord() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	var header []task.Signature
	for n := range 3 {
		header = append(header, add.S(Sum{X: n, Y: n}))
	}
	flow := canvas.Chord(header, total.Partial(nil)).OnError(task.Signature{Task: "ops.alert"})
	fmt.Println(canvas.Repr(flow))
	// Output: %tasks.total([add(0, 0), add(1, 1), add(2, 2)])
}

func ExampleMap() {
	negate := task.Remote[int, int]("tasks.negate") // in Python, say
	fmt.Println(canvas.Repr(canvas.Map(negate.Partial(0), []int{1, 2, 3})))
	// Output: [tasks.negate(x) for x in [1, 2, 3]]
}

func ExampleStarmap() {
	add := task.Signature{Task: "tasks.add"}
	fmt.Println(canvas.Repr(canvas.Starmap(add, [][]int{{1, 1}, {2, 2}})))
	// Output: [tasks.add(*x) for x in [[1, 1], [2, 2]]]
}

func ExampleChunks() {
	add := task.Signature{Task: "tasks.add"}
	flow := canvas.Chunks(add, [][]int{{1, 1}, {2, 2}, {3, 3}}, 2) // two tasks: of two items and of one
	fmt.Println(canvas.Repr(flow))
	// Output: group([[tasks.add(*x) for x in [[1, 1], [2, 2]]], [tasks.add(*x) for x in [[3, 3]]]])
}

func ExampleStamp() {
	add := task.New("tasks.add", add)
	flow := canvas.Stamp(canvas.Chain(add.S(Sum{X: 2, Y: 2}), add.Partial(Sum{Y: 4})), map[string]any{"tenant": "acme"})
	for _, step := range flow.Tasks {
		fmt.Println(step.Task, step.Stamps)
	}
	// Output:
	// tasks.add map[tenant:acme]
	// tasks.add map[tenant:acme]
}

func ExampleStampEach() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	flow := canvas.Chord([]task.Signature{add.S(Sum{X: 1, Y: 1})}, total.Partial(nil))
	flow = canvas.StampEach(flow, func(place canvas.Place, s task.Signature, _ map[string]any) map[string]any {
		if place == canvas.AtChordBody {
			return map[string]any{"role": "body"}
		}
		return nil
	}, nil)
	fmt.Println(flow.Tasks[0].Stamps, flow.Body.Stamps)
	// Output: map[] map[role:body]
}

func ExampleThen() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	x := func(s *Sum) *int { return &s.X } // the argument that is the result of what comes before
	first := canvas.Call(add, Sum{X: 2, Y: 2})
	both := canvas.Then(first, canvas.All(canvas.Feed(add, x, Sum{Y: 1}), canvas.Feed(add, x, Sum{Y: 2})))
	flow := canvas.Then(both, canvas.Of(total)) // canvas.Then(first, canvas.Of(total)) does not compile: an int is no []int
	fmt.Println(flow)
	// Output: tasks.add(2, 2) | %total([add(1), add(2)])
}

func ExampleAfter() {
	clean := task.Remote[struct{}, string]("tasks.clean")
	add := task.New("tasks.add", add)
	flow := canvas.After(canvas.Call(clean, struct{}{}), canvas.Call(add, Sum{X: 1, Y: 1})) // which gets no string
	fmt.Println(flow)
	// Output: tasks.clean() | add(1, 1)
}

func ExampleEach() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	flow := canvas.Then(canvas.Each(add, []Sum{{X: 1, Y: 1}, {X: 2, Y: 2}}), canvas.Of(total))
	fmt.Println(flow)
	// Output: [tasks.add(*x) for x in [[1, 1], [2, 2]]] | tasks.total()
}

// printer is a sender for the example: an application sends.
type printer struct{}

func (printer) Send(_ context.Context, s task.Signature) (*task.Result[any], error) {
	fmt.Println("sent", canvas.Repr(s))
	return task.NewResult[any]("some id", nil), s.Validate()
}

func ExampleSend() {
	add, total := task.New("tasks.add", add), task.New("tasks.total", total)
	flow := canvas.Then(canvas.All(canvas.Call(add, Sum{X: 1, Y: 1}), canvas.Call(add, Sum{X: 2, Y: 2})), canvas.Of(total))
	var app printer
	result, err := canvas.Send(context.Background(), app, flow)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.ID())
	// Output:
	// sent %tasks.total([add(1, 1), add(2, 2)])
	// some id
}

func ExampleRepr() {
	add := task.Signature{Task: "tasks.add", Args: []any{2, 2}}
	fmt.Println(canvas.Repr(canvas.Chain(add, canvas.Group(add, add))))
	// Output: tasks.add(2, 2) | group([add(2, 2), add(2, 2)])
}
