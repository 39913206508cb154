package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

func ExampleApp_SendBatch() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}
	pairs := []Pair{{1, 2}, {3, 4}}

	var batch []task.Signature
	for _, p := range pairs {
		batch = append(batch, Add.S(p))
	}
	results, err := app.SendBatch(ctx, batch)
	if failed, ok := errors.AsType[*task.BatchError](err); ok {
		log.Printf("%d of %d were not sent", len(failed.Unwrap()), len(batch)) // failed.Errors says which, and why
	}

	fmt.Println(len(results), err, app.Close(ctx))
	// Output:
	// 2 <nil> <nil>
}
