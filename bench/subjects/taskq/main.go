// Command taskq is taskq, used as any program uses it. The order's pool is a list of words: first the pool's own name (goroutines,
// threads, solo), then perhaps "log", which writes the log of a worker as it is without any setting, two lines for each task; else it
// writes warnings, as the tuned Celery does.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func main() {
	subject.Main("taskq", subject.Roles{Work: work, Open: open, StoresItself: true})
}

// sum are the parameters of the task that adds.
type sum struct {
	X   int    `task:"x"`
	Y   int    `task:"y"`
	Pad string `task:"pad,optional"`
}

func config(j *subject.Job, log slog.Handler) taskq.Config {
	results := j.Results
	switch {
	case results == "":
		results = "disabled://"
	case strings.HasPrefix(results, "amqp"):
		results = "rpc://"
	}
	cfg := taskq.Config{BrokerURL: j.Broker, ResultBackend: results, DefaultQueue: j.Queues[0], Logger: slog.New(log)}
	if j.Quorum {
		cfg.QueueType = broker.Quorum
	}
	return cfg
}

func work(ctx context.Context, j *subject.Job) error {
	words := strings.Fields(j.Pool + " ")
	log := &announcer{Handler: slog.NewTextHandler(os.Stderr, nil), least: slog.LevelWarn, ready: j.Ready}
	if len(words) > 1 && words[1] == "log" {
		log.least = slog.LevelInfo
	}
	cfg := config(j, log)
	cfg.Worker = worker.Options{Queues: j.Queues, Concurrency: j.Slots}
	if len(words) > 0 {
		cfg.Worker.Pool = pool.Kind(words[0])
	}
	if j.Prefetch > 0 {
		cfg.Worker.PrefetchMultiplier = max(j.Prefetch/max(j.Slots, 1), 1)
	}
	if j.Batch > 0 {
		cfg.Worker.Batches = map[string]task.BatchPolicy{accessrecord.TaskName: {Size: j.Batch, Wait: time.Second}}
	}
	app, err := taskq.New(cfg)
	if err != nil {
		return err
	}
	tasks, err := definitions(j)
	if err == nil {
		err = app.Register(tasks...)
	}
	if err != nil {
		return err
	}
	if j.Work == order.Visit {
		app.Use(noteVisits(j))
	}
	return errors.Join(app.Run(ctx), app.Close(context.WithoutCancel(ctx)))
}

func definitions(j *subject.Job) ([]task.Definition, error) {
	if j.Work == order.Visit {
		recorder, err := accessrecord.New(accessrecord.Config{Database: j.Database})
		if err != nil {
			return nil, err
		}
		return []task.Definition{recorder.Task()}, nil
	}
	add := func(_ context.Context, s sum) (int, error) { return j.Add(s.X, s.Y) }
	var tasks []task.Definition
	for i := range max(j.Names, 1) {
		tasks = append(tasks, task.New(j.Task(i), add))
	}
	return tasks, nil
}

// noteVisits notes in the ledger which visit is about to be stored.
func noteVisits(j *subject.Job) task.Middleware {
	const path = `"path":"/`
	return func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, r *task.Request) (any, error) {
			_, rest, _ := bytes.Cut(r.Kwargs["data"], []byte(path))
			number, _, _ := bytes.Cut(rest, []byte("/"))
			n, err := strconv.Atoi(string(number))
			if err != nil {
				return nil, fmt.Errorf("the visit is not the harness's: %w", err)
			}
			if err := j.Visited(n); err != nil {
				return nil, err
			}
			return next.Handle(ctx, r)
		})
	}
}

// announcer tells from the log when the worker is ready. Until then it hears everything, afterwards only what it passes on.
type announcer struct {
	slog.Handler
	least slog.Level
	ready func()
	told  atomic.Bool
}

// Enabled implements slog.Handler.
func (a *announcer) Enabled(_ context.Context, level slog.Level) bool {
	return level >= a.least || level >= slog.LevelInfo && !a.told.Load()
}

// Handle implements slog.Handler.
func (a *announcer) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "worker ready" && a.told.CompareAndSwap(false, true) {
		a.ready()
	}
	if r.Level < a.least {
		return nil
	}
	return a.Handler.Handle(ctx, r)
}
