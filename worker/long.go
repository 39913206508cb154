package worker

import (
	"context"

	"github.com/seed-399731e2/taskq/broker"
)

// warnOfLongTasks names the tasks whose time limit lets them outlive the broker's patience: it would take their deliveries back and
// hand them out again while they still run.
func (w *Worker) warnOfLongTasks(ctx context.Context) {
	b, ok := w.cfg.Broker.(broker.Impatient)
	if !ok {
		return
	}
	timeout := b.DeliveryTimeout()
	for _, spec := range w.cfg.Registry.All() {
		_, limit := w.timeLimits(spec)
		if c := w.collectors[spec]; c != nil && limit > 0 {
			limit += c.policy.Wait
		}
		if spec.Handler == nil || spec.AckEarly || limit <= timeout {
			continue
		}
		w.log.WarnContext(ctx, "task may outlive the broker's delivery timeout: it would be delivered again while it runs; raise consumer_timeout on the server and tell the worker, lower the time limit, or acknowledge the task early",
			"task", spec.Name, "time_limit", limit.Seconds(), "delivery_timeout", timeout.Seconds())
	}
}
