// Command gocelery measures gocelery, on AMQP or on Redis. Slots are its workers, each of which looks for a task every 100 ms and no
// sooner; Prefetch 0 leaves it at gocelery's own, 4.
//
// What it cannot do: it reads and writes version 1 of Celery's protocol, so it has to send to itself; it acknowledges before a task
// runs; on AMQP it sends to the queue "celery" alone, without confirms, and neither sends nor stores results from two goroutines at once;
// it ignores the time at which a task is due; there are no events, and a task that fails stores no result.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"

	"github.com/gocelery/gocelery"
	"github.com/gomodule/redigo/redis"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

func main() { subject.Main("gocelery", subject.Roles{Work: work, Open: open}) }

// connection is a broker, and how to hang up.
type connection struct {
	broker  gocelery.CeleryBroker
	backend gocelery.CeleryBackend
	consume func() error
	close   func() error
}

func connect(j *subject.Job) (*connection, error) {
	if j.Work != order.Add || j.Delay > 0 || j.Events {
		return nil, errors.New("gocelery runs tasks that add, at once, without events")
	}
	if len(j.Queues) != 1 {
		return nil, errors.New("a worker of gocelery consumes one queue")
	}
	u, err := url.Parse(j.Broker)
	if err != nil {
		return nil, errors.New("broker: not a URL") // the error would quote the password
	}
	var c *connection
	switch u.Scheme {
	case "amqp":
		c, err = connectAMQP(j)
	case "redis":
		c = connectRedis(j)
	default:
		err = fmt.Errorf("gocelery has no broker %s://", u.Scheme)
	}
	if err == nil && j.Results == "" {
		c.backend = nowhere{}
	}
	return c, err
}

// connectAMQP does what NewAMQPCeleryBroker does, but for the queue's name, the prefetch, and that a sender does not consume, too.
func connectAMQP(j *subject.Job) (*connection, error) {
	if j.Role == order.Send && j.Queues[0] != "celery" {
		return nil, errors.New(`gocelery sends to the queue "celery" on AMQP, whatever it is told`)
	}
	conn, ch := gocelery.NewAMQPConnection(j.Broker)
	b := &gocelery.AMQPCeleryBroker{
		Channel: ch, Connection: conn,
		Exchange: gocelery.NewAMQPExchange("default"), Queue: gocelery.NewAMQPQueue(j.Queues[0]), Rate: 4,
	}
	if j.Prefetch > 0 {
		b.Rate = j.Prefetch
	}
	consume := func() error {
		if err := b.Qos(b.Rate, 0, false); err != nil {
			return err
		}
		return b.StartConsumingChannel()
	}
	c := &connection{broker: &lockedBroker{CeleryBroker: b}, consume: consume, close: conn.Close}
	if j.Results != "" {
		c.backend = &lockedBackend{CeleryBackend: gocelery.NewAMQPCeleryBackend(j.Results)}
	}
	return c, errors.Join(b.CreateExchange(), b.CreateQueue())
}

// lockedBroker sends one message at a time: it declares the queue again for each, and the client that gocelery uses mixes up the frames
// when others publish meanwhile.
type lockedBroker struct {
	gocelery.CeleryBroker

	mu sync.Mutex
}

func (b *lockedBroker) SendCeleryMessage(m *gocelery.CeleryMessage) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.CeleryBroker.SendCeleryMessage(m)
}

// lockedBackend stores one result at a time, for the same reason.
type lockedBackend struct {
	gocelery.CeleryBackend

	mu sync.Mutex
}

func (b *lockedBackend) SetResult(id string, m *gocelery.ResultMessage) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.CeleryBackend.SetResult(id, m)
}

func connectRedis(j *subject.Job) *connection {
	pool := &redis.Pool{MaxIdle: max(j.Slots, j.Senders), Dial: func() (redis.Conn, error) { return redis.DialURL(j.Broker) }}
	b := gocelery.NewRedisBroker(pool)
	b.QueueName = j.Queues[0]
	return &connection{
		broker: b, backend: &gocelery.RedisCeleryBackend{Pool: pool},
		consume: func() error { return nil }, close: pool.Close,
	}
}

// nowhere keeps no results: gocelery stores the one of every task.
type nowhere struct{}

func (nowhere) GetResult(string) (*gocelery.ResultMessage, error) {
	return nil, errors.New("results are off")
}

func (nowhere) SetResult(string, *gocelery.ResultMessage) error { return nil }

func work(ctx context.Context, j *subject.Job) error {
	c, err := connect(j)
	if err != nil {
		return err
	}
	if err := c.consume(); err != nil {
		return err
	}
	worker := gocelery.NewCeleryWorker(c.broker, c.backend, j.Slots)
	add := func(x, y int) int {
		sum, err := j.Add(x, y)
		if err != nil { // a task cannot fail; the ledger will show that this one did not run
			fmt.Fprintln(os.Stderr, "gocelery:", err)
		}
		return sum
	}
	for i := range max(j.Names, 1) {
		if j.Body > 0 {
			worker.Register(j.Task(i), func(x, y int, _ string) int { return add(x, y) })
		} else {
			worker.Register(j.Task(i), add)
		}
	}
	worker.StartWorkerWithContext(ctx)
	j.Ready()
	<-ctx.Done()
	worker.StopWait()
	return c.close()
}

type sender struct {
	job        *subject.Job
	client     *gocelery.CeleryClient
	connection *connection
}

func open(_ context.Context, j *subject.Job) (subject.Sender, error) {
	c, err := connect(j)
	if err != nil {
		return nil, err
	}
	client, err := gocelery.NewCeleryClient(c.broker, c.backend, 0)
	return &sender{job: j, client: client, connection: c}, err
}

// Send implements subject.Sender.
func (s *sender) Send(_ context.Context, first, end int) error {
	for i := first; i < end; i++ {
		call := s.job.Args(i)
		args := []any{call.X, call.Y}
		if s.job.Body > 0 {
			args = append(args, call.Pad)
		}
		if _, err := s.client.Delay(s.job.Task(i), args...); err != nil {
			return err
		}
	}
	return nil
}

// Close implements subject.Sender.
func (s *sender) Close() error { return s.connection.close() }
