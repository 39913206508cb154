// Command machinery measures machinery v2 on AMQP. Results "" is its backend that keeps nothing, amqp:// and redis:// are its backends of
// these names. Prefetch 0 leaves it at machinery's own, 3. Messages are in machinery's own format: no headers, each argument with its
// name and type.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/RichardKnop/logging"
	"github.com/RichardKnop/machinery/v2"
	amqpbackend "github.com/RichardKnop/machinery/v2/backends/amqp"
	"github.com/RichardKnop/machinery/v2/backends/iface"
	"github.com/RichardKnop/machinery/v2/backends/null"
	redisbackend "github.com/RichardKnop/machinery/v2/backends/redis"
	amqpbroker "github.com/RichardKnop/machinery/v2/brokers/amqp"
	"github.com/RichardKnop/machinery/v2/config"
	"github.com/RichardKnop/machinery/v2/locks/eager"
	"github.com/RichardKnop/machinery/v2/log"
	"github.com/RichardKnop/machinery/v2/tasks"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

func main() {
	// standard output is the harness's; the levels of information and debugging cost a line or two for each task
	quiet := logging.New(os.Stderr, os.Stderr, &logging.DefaultFormatter{})
	log.Set(quiet[logging.ERROR])
	log.SetDebug(silence{quiet[logging.DEBUG]})
	log.SetInfo(silence{quiet[logging.INFO]})
	subject.Main("machinery", subject.Roles{Work: work, Open: open})
}

// silence is a logger without output.
type silence struct{ logging.LoggerInterface }

func (silence) Print(...any)          {}
func (silence) Printf(string, ...any) {}

// announcer tells the harness when the worker consumes, which machinery says in its log alone.
type announcer struct {
	silence

	ready func()
}

func (a announcer) Print(v ...any) {
	if strings.Contains(fmt.Sprint(v...), "Waiting for messages") {
		a.ready()
	}
}

// server is a machinery whose one queue has its own name as the binding key: with other names machinery makes a second queue, to which
// it copies every message.
func server(j *subject.Job) (*machinery.Server, error) {
	if len(j.Queues) != 1 {
		return nil, errors.New("a worker of machinery consumes one queue")
	}
	cfg := &config.Config{
		Broker: j.Broker, DefaultQueue: j.Queues[0], ResultBackend: j.Results, ResultsExpireIn: 3600, NoUnixSignals: true,
		AMQP:  &config.AMQPConfig{Exchange: "machinery_exchange", ExchangeType: "direct", BindingKey: j.Queues[0], PrefetchCount: j.Prefetch},
		Redis: &config.RedisConfig{},
	}
	if j.Prefetch == 0 {
		cfg.AMQP.PrefetchCount = 3
	}
	results, err := backend(cfg)
	if err != nil {
		return nil, err
	}
	return machinery.NewServer(cfg, amqpbroker.New(cfg), results, eager.New()), nil
}

func backend(cfg *config.Config) (iface.Backend, error) {
	if cfg.ResultBackend == "" {
		return null.New(), nil
	}
	u, err := url.Parse(cfg.ResultBackend)
	if err != nil {
		return nil, errors.New("results: not a URL") // the error would quote the password
	}
	switch u.Scheme {
	case "amqp":
		return amqpbackend.New(cfg), nil
	case "redis":
		db, _ := strconv.Atoi(strings.Trim(u.Path, "/")) // none is the database 0
		password, _ := u.User.Password()
		return redisbackend.NewGR(cfg, []string{password + "@" + u.Host}, db), nil
	}
	return nil, fmt.Errorf("results: machinery has no backend %s://", u.Scheme)
}

func work(ctx context.Context, j *subject.Job) error {
	srv, err := server(j)
	if err != nil {
		return err
	}
	if err := srv.RegisterTasks(functions(j)); err != nil {
		return err
	}
	log.SetInfo(announcer{ready: j.Ready})
	worker := srv.NewWorker("bench", j.Slots)
	ended := make(chan error, 1)
	worker.LaunchAsync(ended)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		worker.Quit()
		return nil
	}
}

func functions(j *subject.Job) map[string]any {
	visit := func(ctx context.Context, data string) error {
		var v subject.Visit
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return err
		}
		return j.Visit(ctx, v)
	}
	add := func(x, y int64) (int64, error) {
		sum, err := j.Add(int(x), int(y))
		return int64(sum), err
	}
	padded := func(x, y int64, _ string) (int64, error) { return add(x, y) }
	functions := map[string]any{}
	for i := range max(j.Names, 1) {
		switch {
		case j.Work == order.Visit:
			functions[j.Task(i)] = visit
		case j.Body > 0:
			functions[j.Task(i)] = padded
		default:
			functions[j.Task(i)] = add
		}
	}
	return functions
}

// sender publishes one task at a time and waits for its confirm; machinery has nothing faster.
type sender struct {
	job    *subject.Job
	server *machinery.Server
	broker *amqpbroker.Broker
}

func open(_ context.Context, j *subject.Job) (subject.Sender, error) {
	srv, err := server(j)
	if err != nil {
		return nil, err
	}
	broker, ok := srv.GetBroker().(*amqpbroker.Broker)
	if !ok {
		return nil, errors.New("the broker is not AMQP's")
	}
	// the first message would connect
	if _, err := broker.GetOrOpenConnection(j.Queues[0], j.Queues[0], nil, nil, nil); err != nil {
		return nil, err
	}
	return &sender{job: j, server: srv, broker: broker}, nil
}

// Send implements subject.Sender.
func (s *sender) Send(ctx context.Context, first, end int) error {
	for i := first; i < end; i++ {
		args, err := s.args(i)
		if err != nil {
			return err
		}
		signature := &tasks.Signature{Name: s.job.Task(i), Args: args}
		if due := s.job.Due(); !due.IsZero() {
			signature.ETA = &due
		}
		if _, err := s.server.SendTaskWithContext(ctx, signature); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) args(i int) ([]tasks.Arg, error) {
	if s.job.Work == order.Visit {
		data, err := s.job.Payload(i)
		return []tasks.Arg{{Name: "data", Type: "string", Value: string(data)}}, err // it has no dicts
	}
	call := s.job.Args(i)
	args := []tasks.Arg{{Name: "x", Type: "int64", Value: call.X}, {Name: "y", Type: "int64", Value: call.Y}}
	if s.job.Body > 0 {
		args = append(args, tasks.Arg{Name: "pad", Type: "string", Value: call.Pad})
	}
	return args, nil
}

// Close implements subject.Sender.
func (s *sender) Close() error { return s.broker.CloseConnections() }
