package worker_test

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/cli/console"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// replay is a broker that has one message as often as it is asked for, at the cost of nearly nothing.
type replay struct {
	*mem.Broker
	msg  broker.Message
	left atomic.Int64
	over chan struct{} // closed when the last delivery is settled

	unsettled atomic.Int64
}

func (r *replay) Consume(context.Context, broker.ConsumeConfig) (broker.Consumer, error) {
	return r, nil
}

// Next implements broker.Consumer.
func (r *replay) Next(ctx context.Context) (*broker.Delivery, error) {
	if r.left.Add(-1) < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d := broker.NewDelivery(r.msg, r.settle)
	d.Queue = queue
	return d, nil
}

func (r *replay) settle(context.Context, broker.Disposition) error {
	if r.unsettled.Add(-1) == 0 {
		close(r.over)
	}
	return nil
}

func (r *replay) SetPrefetch(context.Context, int) error { return nil }
func (r *replay) Cancel(context.Context) error           { return nil }
func (r *replay) Close(context.Context) error            { return nil }

// BenchmarkPlainTask measures the way of one plain task through the worker and nothing else, by pool, and with the lines of the log that
// the command line writes.
func BenchmarkPlainTask(b *testing.B) {
	silent, lines := slog.New(slog.DiscardHandler), slog.New(console.New(io.Discard, console.Options{}))
	for name, o := range map[string]struct {
		kind  pool.Kind
		slots int
		log   *slog.Logger
	}{
		"solo": {pool.Solo, 1, silent}, "goroutines": {pool.Goroutines, 10, silent}, "threads": {pool.Threads, 10, silent},
		"solo+log": {pool.Solo, 1, lines}, "goroutines+log": {pool.Goroutines, 10, lines},
	} {
		b.Run(name, func(b *testing.B) {
			run(b, worker.Options{Pool: o.kind, Concurrency: o.slots}, o.log)
		})
	}
}

// run has a worker do a task b.N times.
func run(b *testing.B, opts worker.Options, log *slog.Logger) {
	b.Helper()
	type point struct{ X, Y int }
	add := task.New("tasks.add", func(_ context.Context, p point) (int, error) { return p.X + p.Y, nil })
	call := add.S(point{1, 2})
	call.Args, call.Kwargs = nil, map[string]any{"x": 1, "y": 2}
	call.ID = "516612f5-d46e-471a-8559-20b86da2b364"
	msg, err := wire.Encode(wire.Outgoing{Signature: call, Now: time.Now(), Origin: "gen1@host"})
	if err != nil {
		b.Fatal(err)
	}
	br := &replay{Broker: mem.NewServer().Open(), msg: msg, over: make(chan struct{})}
	br.left.Store(int64(b.N))
	br.unsettled.Store(int64(b.N))
	var registry task.Registry
	if err := registry.Add(add); err != nil {
		b.Fatal(err)
	}
	opts.Queues, opts.NoRemoteControl = []string{queue}, true
	w, err := worker.New(worker.Config{Options: opts, Broker: br, Registry: &registry, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- w.Run(ctx) }()
	<-br.over
	b.StopTimer()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
