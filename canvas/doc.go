// Package canvas makes workflows of calls: chains, groups, chords, and what combines them (celery/canvas.py). A workflow is a
// task.Signature like any other: it is sent with App.Send, linked, put into another workflow, and written as Celery writes it, whichever
// of its tasks run in Go and which in Python.
//
//	flow := canvas.Chain(
//		fetch.S(Fetch{URL: url}),
//		canvas.Group(resize.Partial(Resize{Width: 64}), resize.Partial(Resize{Width: 512})),
//		publish.Partial(Publish{}), // gets the list of both results
//	)
//	result, err := app.Send(ctx, flow)
//
// A call in a workflow gets the result of the one before in front of its arguments. Task.Partial makes one without its first argument, for
// that result; Task.SI makes one that takes none.
//
// Flow is a workflow whose types the compiler checks: Then accepts a task only if it takes what the one before returns.
package canvas
