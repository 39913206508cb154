package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/rpc"
	"github.com/seed-399731e2/taskq/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds each wait for something that must happen.
const patience = time.Minute

// backend is a store on RabbitMQ, over a connection of its own.
func backend(tb testing.TB, url string) (*rpc.Backend, *amqp.Broker) {
	tb.Helper()
	return backendOf(tb, url, rpc.Config{})
}

func backendOf(tb testing.TB, url string, cfg rpc.Config) (*rpc.Backend, *amqp.Broker) {
	tb.Helper()
	b, err := amqp.Open(tb.Context(), amqp.Config{
		URL: url, BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Broker, cfg.Logger = b, slog.New(slog.DiscardHandler)
	store := rpc.New(cfg)
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		if err := errors.Join(store.Close(ctx), b.Close(ctx)); err != nil {
			tb.Error(err)
		}
	})
	return store, b
}

// TestAnswersSurviveLostConnections cuts off the client and the worker in turn, while tasks are answered.
func TestAnswersSurviveLostConnections(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	proxies := []*testserver.Proxy{testserver.StartProxy(t, url), testserver.StartProxy(t, url)}
	client, _ := backend(t, proxies[0].URL)
	worker, _ := backend(t, proxies[1].URL)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const cuts, wave = 10, 20
	var waits sync.WaitGroup
	for cut := range cuts {
		var stores sync.WaitGroup
		for i := range wave {
			id := fmt.Sprint(cut*wave + i)
			replyTo, err := client.Expect(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			waits.Go(func() {
				if m, err := client.Wait(ctx, id); err != nil || string(m.Result) != id {
					t.Errorf("outcome of %s = %s, %v", id, m.Result, err)
				}
			})
			stores.Go(func() {
				if err := worker.Store(ctx, outcome(id, replyTo, id)); err != nil {
					t.Errorf("answer %s: %v", id, err)
				}
			})
		}
		proxies[cut%2].Cut()
		stores.Wait()
		waitForConnection(ctx, proxies[cut%2])
	}
	proxies[0].Cut() // what was handed out and has not been acknowledged comes again
	waits.Wait()
}

func waitForConnection(ctx context.Context, p *testserver.Proxy) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.Connections() == 0 && ctx.Err() == nil {
		<-tick.C
	}
}

// TestAReplyQueueThatWasDeletedComesBack: an operator, or a long absence, takes it away.
func TestAReplyQueueThatWasDeletedComesBack(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	client, _ := backend(t, url)
	worker, other := backend(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	replyTo, err := client.Expect(ctx, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteQueue(ctx, replyTo); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		m, err := client.Wait(ctx, "1")
		if err == nil && m.State != task.Success {
			err = fmt.Errorf("state %s", m.State)
		}
		answer <- err
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := worker.Store(ctx, outcome("1", replyTo, `1`)); err != nil { // until the queue is there again it is lost
			t.Fatal(err)
		}
		select {
		case err := <-answer:
			if err != nil {
				t.Error(err)
			}
			return
		case <-tick.C:
		}
	}
}

// TestPersistentAnswersSurviveARestart: the client is away when it is answered, and the broker restarts before it is back.
func TestPersistentAnswersSurviveARestart(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	proxy := testserver.StartProxy(t, server.URL)
	client, _ := backend(t, proxy.URL)
	worker, _ := backendOf(t, server.URL, rpc.Config{Persistent: true})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	replyTo, err := client.Expect(ctx, "1")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	if err := worker.Store(ctx, outcome("1", replyTo, `1`)); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	proxy.Resume()
	if m, err := client.Wait(ctx, "1"); err != nil || m.State != task.Success {
		t.Errorf("outcome = %s, %v", m.State, err)
	}
}

func TestTenThousandWaitersAreServedOverRabbitMQ(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	client, _ := backend(t, url)
	worker, _ := backend(t, url)
	tenThousand(t, client, worker)
}

// TestPythonsReplyQueuesGetAnswers: in each form that a version of Celery declares them (celery/backends/rpc.py).
func TestPythonsReplyQueuesGetAnswers(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	worker, b := backend(t, url)
	expires := broker.Table{broker.ArgExpires: int32((24 * time.Hour).Milliseconds())}
	for version, queue := range map[string]broker.Queue{
		"5.2 to 5.6": {Transient: true, AutoDelete: true, Arguments: expires},
		"5.7":        {AutoDelete: true, Arguments: expires},
	} {
		queue.Name = uuid.NewString()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := b.Declare(ctx, broker.Topology{Queues: []broker.Queue{queue}}); err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queue.Name}, Prefetch: 1, AutoAck: true})
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		m := outcome("1", queue.Name, `1`)
		m.CorrelationID = ""
		if err := worker.Store(ctx, m); err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		d, err := c.Next(ctx)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		if d.CorrelationID != "1" || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" || !d.Transient || len(d.Headers) > 0 {
			t.Errorf("%s: the answer is %+v", version, d.Message)
		}
		if err := c.Close(ctx); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

func TestAnswersThatTheBrokerNeverTakesAreInvalid(t *testing.T) {
	t.Parallel()
	client, _ := backend(t, testserver.AMQPVhost(t))
	large := outcome("1", expect(t, client, "1"), `"`+strings.Repeat("x", 17<<20)+`"`)
	if err := client.Store(t.Context(), large); !errors.Is(err, result.ErrInvalid) {
		t.Errorf("17 MiB: err = %v, want ErrInvalid", err)
	}
}

// BenchmarkStore answers from as many tasks at once as the name says.
func BenchmarkStore(b *testing.B) {
	url := testserver.AMQP(b)
	for _, slots := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(slots), func(b *testing.B) {
			client, _ := backend(b, url)
			worker, _ := backend(b, url)
			replyTo, err := client.Expect(b.Context(), "1")
			if err != nil {
				b.Fatal(err)
			}
			var wg sync.WaitGroup
			work := make(chan int)
			b.ResetTimer()
			for range slots {
				wg.Go(func() {
					for i := range work {
						if err := worker.Store(b.Context(), outcome(fmt.Sprint(i), replyTo, `1`)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
		})
	}
}
