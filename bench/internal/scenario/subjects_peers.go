package scenario

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	jackc "github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// celery is Debian's. The words of its pool are those of subjects/celery/app.py.
func celery(setting, words string, slots, prefetch, speed int) lab.Subject {
	s := lab.Subject{
		Name: result.Celery, Setting: setting, Python: true, Broker: lab.RabbitMQ,
		Order: order.Order{Pool: words, Slots: slots, Prefetch: prefetch}, Speed: speed,
	}
	if slots > 0 && !slices.Contains(strings.Fields(words), "late") { // a worker
		s.Note = "acknowledges before a task runs, Celery's default"
	}
	return s
}

// celerySolo is the one with the least CPU per task.
func celerySolo() lab.Subject {
	return celery("solo, tuned, prefetch 256", "solo tuned", 1, 256, 3000)
}

// celerySoloLate is the same with the guarantee that taskq gives.
func celerySoloLate() lab.Subject {
	return celery("solo tuned, acks late, prefetch 256", "solo tuned late", 1, 256, 3000)
}

func celeryPrefork() lab.Subject { return celery("prefork 2, defaults", "prefork", 2, 0, 2000) }

func celeryPreforkTuned() lab.Subject {
	return celery("prefork 2, tuned, prefetch 256", "prefork tuned", 2, 256, 2000)
}

func celeryThreads() lab.Subject {
	return celery("threads 8, tuned, prefetch 512", "threads tuned", 8, 512, 2000)
}

func machinery(prefetch int) lab.Subject {
	return lab.Subject{
		Name: result.Machinery, Setting: fmt.Sprintf("AMQP, -c 10, prefetch %d", prefetch), Broker: lab.RabbitMQ, Foreign: true,
		Note:  "messages in its own format, without headers",
		Order: order.Order{Slots: 10, Prefetch: prefetch}, Speed: 10_000,
	}
}

const goceleryNote = "acknowledges before a task runs; each worker looks for one every 100 ms"

func gocelery() lab.Subject {
	return lab.Subject{
		Name: result.Gocelery, Setting: "AMQP, 100 workers", Broker: lab.RabbitMQ, Foreign: true, Fillers: 1,
		Note:  goceleryNote,
		Order: order.Order{Slots: 100}, Speed: 30,
	}
}

func goceleryRedis() lab.Subject {
	return lab.Subject{
		Name: result.Gocelery, Setting: "Redis, 1000 workers", Broker: lab.Redis, Foreign: true, Fillers: 1,
		Note:  goceleryNote,
		Order: order.Order{Slots: 1000}, Speed: 8000,
	}
}

func asynq(setting, pool string, slots int) lab.Subject {
	return lab.Subject{
		Name: result.Asynq, Setting: fmt.Sprintf("Redis, c=%d, %s", slots, setting), Broker: lab.Redis, Foreign: true,
		Note:  "tasks are in memory until Redis writes its next snapshot",
		Order: order.Order{Pool: pool, Slots: slots}, Speed: 8000, Waiting: asynqWaiting,
	}
}

func river(setting, pool string, slots, speed int) lab.Subject {
	return lab.Subject{
		Name: result.River, Setting: fmt.Sprintf("PostgreSQL, c=%d, %s", slots, setting), Broker: lab.Postgres, Foreign: true,
		Note:  "a task is a row, which stays for a day when it is done",
		Order: order.Order{Pool: pool, Slots: slots}, Speed: speed, Waiting: riverWaiting,
	}
}

// riverWaiting counts River's jobs.
func riverWaiting(ctx context.Context, url string) (n int, err error) {
	conn, err := jackc.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SELECT count(*) FROM river_job").Scan(&n)
	return n, err
}

// asynqWaiting counts the tasks that wait in the queue of the harness.
func asynqWaiting(ctx context.Context, url string) (int, error) {
	n, err := instance.RedisDo(ctx, url, "LLEN", "asynq:{celery}:pending")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}
