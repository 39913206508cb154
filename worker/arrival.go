package worker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

// arrival is a delivery with what is known of those before it.
type arrival struct {
	*broker.Delivery
	known  int // deliveries that ended without an outcome, as its stamp says
	deaths int // known, and those that the broker tells of

	from    *source  // nil: a quarantine
	suspect *suspect // nil: it came from a queue that the worker consumes
	settled atomic.Bool
}

// suspect is what an arrival from a quarantine brings with it.
type suspect struct {
	quarantine string
	over       chan struct{} // closed when its execution is over
}

// arrive returns the delivery as one of the queue that it is at home in, whichever way it came.
func arrive(d *broker.Delivery, from *suspect) *arrival {
	a := &arrival{Delivery: d, suspect: from}
	if stamp, ok := deadletter.ReadStamp(d.Headers); ok {
		a.known = stamp.Deaths
		d.Exchange, d.RoutingKey = stamp.Origin.Exchange, stamp.Origin.RoutingKey
	}
	a.deaths = a.known
	return a
}

// resend puts a stamped copy of the message into a queue. The caller settles the original once that has succeeded.
func (w *Worker) resend(ctx context.Context, a *arrival, queue string) error {
	return w.resendAs(ctx, a, queue, min(a.deaths, w.cfg.DeliveryLimit-1))
}

func (w *Worker) resendAs(ctx context.Context, a *arrival, queue string, deaths int) error {
	stamp := deadletter.Stamp{Deaths: deaths, Origin: deadletter.OriginOf(a.Delivery)}
	return w.deposit(ctx, queue, stamp.Write(a.Delivery, time.Now()))
}

// giveBack returns an arrival to where it came from, and says how the delivery is to be settled. A suspect goes back as a copy: to be
// given back by the broker would count as one more death.
func (w *Worker) giveBack(ctx context.Context, a *arrival) broker.Disposition {
	if a.suspect == nil || a.settled.Load() || a.IsStale() {
		return broker.Requeue
	}
	if err := w.resend(ctx, a, a.suspect.quarantine); err != nil {
		w.log.WarnContext(ctx, "suspect went back as delivered once more", "queue", a.Queue, "id", a.CorrelationID, "error", err)
		return broker.Requeue
	}
	return broker.Ack
}
