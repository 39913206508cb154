//go:build unix

package amqp_test

import (
	"encoding/json"
	"runtime"
	"strconv"
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// celeryMessage is what Celery's apply_async sends for a small task.
func celeryMessage(n int) amqp091.Publishing {
	id := "527fad94-8116-4152-a703-" + strconv.Itoa(100_000_000_000+n)
	return amqp091.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent,
		CorrelationId: id, ReplyTo: "9c7f5483-aead-32f1-b5f4-2a4f632c94fe",
		Headers: amqp091.Table{
			"lang": "py", "task": "bench.add", "id": id, "shadow": nil, "eta": nil, "expires": nil, "group": nil, "group_index": nil,
			"retries": int32(0), "timelimit": []any{nil, nil}, "root_id": id, "parent_id": nil, "argsrepr": "(1, 2)", "kwargsrepr": "{}",
			"origin": "gen18520@vm", "ignore_result": true,
		},
		Body: []byte(`[[], {"x": 1, "y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`),
	}
}

// filled returns a queue that holds n messages, and a channel of the client library to drain it with.
func filled(b *testing.B, url string, n int) (*amqp091.Channel, string) {
	b.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	q, err := ch.QueueDeclare("drained", true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	var last *amqp091.DeferredConfirmation
	for i := range n {
		if last, err = ch.PublishWithDeferredConfirm("", q.Name, false, false, celeryMessage(i)); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			last.Wait()
		}
	}
	last.Wait()
	return ch, q.Name
}

// measured reports what drain costs for each of b.N messages: the CPU time and the allocations of the whole program.
func measured(b *testing.B, drain func()) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := testserver.CPUTime(b)
	b.ResetTimer()
	drain()
	b.StopTimer()
	cpu = testserver.CPUTime(b) - cpu
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N), "cpu-us/msg")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/msg")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N), "B/msg")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

const benchPrefetch = 64

// BenchmarkDrain takes messages as Celery sends them out of a queue and acknowledges them: with the bare client library, which decodes
// the body as well, and with this package.
func BenchmarkDrain(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		ch, queue := filled(b, testserver.AMQPVhost(b), b.N)
		measured(b, func() { drainBare(b, ch, queue) })
	})
	for _, settlers := range []int{0, 10} {
		b.Run("taskq/settlers="+strconv.Itoa(settlers), func(b *testing.B) {
			url := testserver.AMQPVhost(b)
			_, queue := filled(b, url, b.N)
			cfg := config(b, url)
			cfg.Logger = nil
			opened := open(b, cfg)
			measured(b, func() { drain(b, opened, queue, settlers) })
		})
	}
}

// drainBare acknowledges each 32nd message, and with it those before.
func drainBare(b *testing.B, ch *amqp091.Channel, queue string) {
	b.Helper()
	if err := ch.Qos(benchPrefetch, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for n := 1; n <= b.N; n++ {
		d := <-deliveries
		var body []any
		if err := json.Unmarshal(d.Body, &body); err != nil {
			b.Fatal(err)
		}
		if n%32 == 0 || n == b.N {
			if err := d.Ack(true); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// drain settles each message where it was received, or on one of some goroutines.
func drain(b *testing.B, from *amqp.Broker, queue string, settlers int) {
	b.Helper()
	c, err := from.Consume(b.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: benchPrefetch})
	if err != nil {
		b.Fatal(err)
	}
	settle := func(d *broker.Delivery) {
		if err := d.Settle(b.Context(), broker.Ack); err != nil {
			b.Error(err)
		}
	}
	deliveries := make(chan *broker.Delivery)
	var wg sync.WaitGroup
	for range settlers {
		wg.Go(func() {
			for d := range deliveries {
				settle(d)
			}
		})
	}
	for range b.N {
		d, err := c.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if settlers == 0 {
			settle(d)
			continue
		}
		deliveries <- d
	}
	close(deliveries)
	wg.Wait()
	if err := c.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
