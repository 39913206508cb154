// Command river measures River, on PostgreSQL. Pool "" leaves its settings as they are; "tuned" fetches up to every 2 ms instead of every
// 100 ms, and looks for jobs every 20 ms instead of every second, as River's own benchmark does. It makes its tables itself.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

func main() { subject.Main("river", subject.Roles{Work: work, Open: open}) }

// addArgs are a job of the kind add.
type addArgs subject.Args

// Kind implements river.JobArgs.
func (addArgs) Kind() string { return "add" }

// visitArgs are a job of the kind access_record.
type visitArgs subject.Visit

// Kind implements river.JobArgs.
func (visitArgs) Kind() string { return "access_record" }

type client = river.Client[pgx.Tx]

// connect makes River's tables and a client, which works only if it is told from which queues.
func connect(ctx context.Context, j *subject.Job, cfg *river.Config) (*client, *pgxpool.Pool, error) {
	if j.Names > 1 {
		return nil, nil, errors.New("a kind of jobs is a type: this program has one of each")
	}
	pool, err := pgxpool.New(ctx, j.Broker)
	if err != nil {
		return nil, nil, err
	}
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	var c *client
	if err == nil {
		c, err = river.NewClient(driver, cfg)
	}
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return c, pool, nil
}

func work(ctx context.Context, j *subject.Job) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[addArgs]) error {
		_, err := j.Add(job.Args.X, job.Args.Y)
		return err
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[visitArgs]) error {
		return j.Visit(ctx, subject.Visit(job.Args))
	}))
	cfg := &river.Config{Workers: workers, Queues: map[string]river.QueueConfig{}}
	for _, q := range j.Queues {
		cfg.Queues[q] = river.QueueConfig{MaxWorkers: j.Slots}
	}
	if j.Pool == "tuned" {
		cfg.FetchCooldown, cfg.FetchPollInterval = 2*time.Millisecond, 20*time.Millisecond
	}
	c, pool, err := connect(ctx, j, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	detached := context.WithoutCancel(ctx) // to stop softly is to stop with Stop
	if err := c.Start(detached); err != nil {
		return err
	}
	j.Ready()
	<-ctx.Done()
	return c.Stop(detached)
}

type sender struct {
	job    *subject.Job
	client *client
	pool   *pgxpool.Pool
}

func open(ctx context.Context, j *subject.Job) (subject.Sender, error) {
	c, pool, err := connect(ctx, j, &river.Config{})
	if err != nil {
		return nil, err
	}
	return &sender{job: j, client: c, pool: pool}, nil
}

func (s *sender) args(i int) river.JobArgs {
	if s.job.Work == order.Visit {
		return visitArgs(subject.NewVisit(i))
	}
	return addArgs(s.job.Args(i))
}

// Send implements subject.Sender.
func (s *sender) Send(ctx context.Context, first, end int) error {
	if end == first+1 {
		_, err := s.client.Insert(ctx, s.args(first), s.options(first))
		return err
	}
	many := make([]river.InsertManyParams, 0, end-first)
	for i := first; i < end; i++ {
		many = append(many, river.InsertManyParams{Args: s.args(i), InsertOpts: s.options(i)})
	}
	_, err := s.client.InsertMany(ctx, many)
	return err
}

func (s *sender) options(i int) *river.InsertOpts {
	return &river.InsertOpts{Queue: s.job.Queue(i), ScheduledAt: s.job.Due()}
}

// Close implements subject.Sender.
func (s *sender) Close() error {
	s.pool.Close()
	return nil
}
