// Package task defines what a task is: a named Go function with typed arguments and a typed result, and everything that is said
// about one call of it: the request that a worker runs, the signature that a client sends, the metadata that a result store keeps.
//
//	type Pair struct {
//		X int `task:"x"`
//		Y int `task:"y"`
//	}
//
//	var Add = task.New("tasks.add", func(_ context.Context, p Pair) (int, error) { return p.X + p.Y, nil })
//
// The fields of the argument struct are the parameters, in order, so that Python calls the task by position, by keyword or mixed:
// tasks.add.delay(2, y=3). The package knows nothing of brokers, workers and wire formats.
package task
