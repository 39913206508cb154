package main

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

// place writes the order down and sends the task that confirms it, in one transaction.
func place(ctx context.Context, app *taskq.App, conn *pgx.Conn, item string, stock int) (result *task.Result[string], err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS orders (item text)"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO orders (item) VALUES ($1)", item); err != nil {
			return err
		}
		if result, err = confirm().Send(ctx, app.Tx(tx), item); err != nil {
			return err
		}
		if stock == 0 {
			return errSoldOut // the order is rolled back, and its task with it
		}
		return nil
	})
	return result, err
}
