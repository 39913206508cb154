// Package taskq is a task queue that speaks Celery's wire protocol: Go functions, registered by name, that clients send and workers
// run. RabbitMQ carries the messages; with nothing configured, an embedded SQLite file does.
//
//	type Pair struct {
//		X int `task:"x"`
//		Y int `task:"y"`
//	}
//
//	var Add = task.New("tasks.add", func(_ context.Context, p Pair) (int, error) { return p.X + p.Y, nil })
//
//	app, err := taskq.New(taskq.Config{BrokerURL: "amqp://guest:guest@localhost//"})
//	…
//	err = app.Register(Add)                             // a worker:
//	err = app.Run(ctx)
//
//	result, err := Add.Send(ctx, app, Pair{2, 3})       // a client:
//	sum, err := result.Get(ctx)
//
// The package ties the rooms together and does nothing itself: task defines tasks, worker runs them, broker and result carry
// messages and outcomes. Programs that want the whole command line use package cli.
package taskq
