// Command asynq measures asynq, on Redis. Pool "" leaves its settings as they are; "tuned" looks for tasks every 10 ms instead of every
// second while there are none. Redis keeps what asynq has accepted in memory and writes it to disk when it is configured to.
package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

func main() { subject.Main("asynq", subject.Roles{Work: work, Open: open}) }

func work(ctx context.Context, j *subject.Job) error {
	server, err := asynq.ParseRedisURI(j.Broker)
	if err != nil {
		return err
	}
	cfg := asynq.Config{Concurrency: j.Slots, Queues: map[string]int{}, LogLevel: asynq.WarnLevel}
	if j.Pool == "tuned" {
		cfg.TaskCheckInterval = 10 * time.Millisecond
	}
	for _, q := range j.Queues {
		cfg.Queues[q] = 1
	}
	srv := asynq.NewServer(server, cfg)
	if err := srv.Start(handlers(j)); err != nil {
		return err
	}
	j.Ready()
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

func handlers(j *subject.Job) asynq.Handler {
	mux := asynq.NewServeMux()
	if j.Work == order.Visit {
		mux.HandleFunc(j.Task(0), func(ctx context.Context, t *asynq.Task) error {
			var v subject.Visit
			if err := json.Unmarshal(t.Payload(), &v); err != nil {
				return err
			}
			return j.Visit(ctx, v)
		})
		return mux
	}
	for i := range max(j.Names, 1) {
		mux.HandleFunc(j.Task(i), func(_ context.Context, t *asynq.Task) error {
			var args subject.Args
			if err := json.Unmarshal(t.Payload(), &args); err != nil {
				return err
			}
			_, err := j.Add(args.X, args.Y)
			return err
		})
	}
	return mux
}

// sender enqueues one task at a time: asynq has no call for several.
type sender struct {
	job    *subject.Job
	client *asynq.Client
}

func open(_ context.Context, j *subject.Job) (subject.Sender, error) {
	server, err := asynq.ParseRedisURI(j.Broker)
	if err != nil {
		return nil, err
	}
	client := asynq.NewClient(server)
	return &sender{job: j, client: client}, client.Ping()
}

// Send implements subject.Sender.
func (s *sender) Send(ctx context.Context, first, end int) error {
	for i := first; i < end; i++ {
		payload, err := s.job.Payload(i)
		if err != nil {
			return err
		}
		opts := []asynq.Option{asynq.Queue(s.job.Queue(i))}
		if due := s.job.Due(); !due.IsZero() {
			opts = append(opts, asynq.ProcessAt(due))
		}
		if _, err := s.client.EnqueueContext(ctx, asynq.NewTask(s.job.Task(i), payload), opts...); err != nil {
			return err
		}
	}
	return nil
}

// Close implements subject.Sender.
func (s *sender) Close() error { return s.client.Close() }
