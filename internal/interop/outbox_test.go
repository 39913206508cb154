package interop_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/task"
)

func TestPythonRunsWhatAGoTransactionCommitted(t *testing.T) {
	t.Parallel()
	url, database := testserver.AMQPVhost(t), testserver.Postgres(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": shop}})
	python.Worker("shop", "-P", "solo", "-Q", "python")
	app := newAppOf(t, taskq.Config{BrokerURL: url, Outbox: outbox.Config{URL: database}})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	store, err := app.Outbox(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	runWorker(t, app) // it relays
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	total := task.Remote[bill, struct {
		Total float64 `json:"total"`
	}]("shop.total", task.Queue("python"))
	dropped := errors.New("roll it back")
	for _, end := range []error{dropped, nil} {
		var sent *task.Result[struct {
			Total float64 `json:"total"`
		}]
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) (err error) {
			if sent, err = total.Send(ctx, app.Tx(tx), bill{Prices: []float64{1.5, 2}}); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		if end != nil {
			continue
		}
		if sum, err := sent.Get(ctx); err != nil || sum.Total != 3.5 {
			t.Errorf("total = %+v, %v", sum, err)
		}
	}
}
