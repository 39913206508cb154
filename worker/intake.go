package worker

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
)

// intake is where the worker's deliveries come from.
type intake struct {
	sources []*source
}

// open starts the consumers. Suspects that wait come first: what a consumer holds when one of them kills the process would be suspected,
// too.
func (w *Worker) open(ctx context.Context) (*intake, error) {
	select {
	case <-w.examined:
	case <-ctx.Done():
	}
	prefetch := w.prefetch(w.cfg.Concurrency)
	consumer, err := w.cfg.Broker.Consume(ctx, broker.ConsumeConfig{Queues: w.cfg.Queues, Prefetch: prefetch})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return &intake{sources: []*source{{consumer: consumer, log: w.log, base: prefetch}}}, nil
}

// prefetch is how many deliveries the worker holds for so many slots.
func (w *Worker) prefetch(slots int) int { return slots * w.cfg.PrefetchMultiplier }

// next waits for a delivery.
func (in *intake) next(ctx context.Context) (*broker.Delivery, *source, error) {
	s := in.sources[0]
	d, err := s.consumer.Next(ctx)
	return d, s, err
}

// resize sets the prefetch.
func (in *intake) resize(ctx context.Context, prefetch int) error {
	return in.sources[0].resize(ctx, prefetch)
}

// cancel stops new deliveries and gives back what was not handed out.
func (in *intake) cancel(ctx context.Context) error {
	in.sources[0].end()
	return in.sources[0].consumer.Cancel(ctx)
}

// close gives back what is unsettled.
func (in *intake) close(ctx context.Context) error { return in.sources[0].consumer.Close(ctx) }
