package amqp

import (
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// The parts of the broker's delivery timeout after which something is done about a delivery.
const (
	apartAfter = 10 // a tenth: the next deliveries come on another channel
	idleAfter  = 2  // half: one that nobody takes is given back, with those behind it
)

// passage is the passing of one stream's deliveries from the client library to the callers of Next.
type passage struct {
	sub   *subscription
	st    *stream
	held  received  // the next one to hand out; none when its stream is nil
	since time.Time // when it came
	count int       // of earlier hand-outs of a delivery that does not say
	apart bool      // the broker sends no more; what it has sent is passed on
	ages  *time.Ticker
	watch *watch
}

func newPassage(sub *subscription, st *stream) *passage {
	cfg := sub.c.b.cfg
	p := &passage{
		sub: sub, st: st, count: -1,
		ages:  time.NewTicker(max(cfg.DeliveryTimeout/apartAfter/4, time.Millisecond)),
		watch: newWatch(cfg.WatchInterval << min(sub.silences, maxSilences)),
	}
	if sub.c.b.topology.queue(sub.queue).Type == broker.Quorum {
		p.count = 0
	}
	return p
}

func (p *passage) stop() {
	p.ages.Stop()
	p.watch.stop()
}

func (p *passage) hold(d amqp091.Delivery) {
	p.held, p.since = received{st: p.st, queue: p.sub.queue, count: p.count, Delivery: d}, time.Now()
	p.watch.note()
	p.sub.silences = 0
}

// over is why the client library has no more deliveries.
func (p *passage) over() error {
	if p.apart {
		return errApart
	}
	return p.st.whyEnded()
}

// giveBack gives back the one that is held, because the consumer was cancelled.
func (p *passage) giveBack() error {
	if p.held.st != nil {
		if err := p.st.giveBack(p.held.DeliveryTag); err != nil {
			return err
		}
	}
	return errCancelled
}

// checkAges stops the broker from sending on this channel when a delivery is out for long: with it, the broker would take back all
// others of the channel. When nobody takes what was sent, it goes back to where others may take it.
func (p *passage) checkAges() error {
	limit := p.sub.c.b.cfg.DeliveryTimeout
	if p.held.st != nil && time.Since(p.since) > limit/idleAfter {
		if err := p.st.giveBack(p.held.DeliveryTag); err != nil {
			return err
		}
		p.held = received{}
		if err := p.st.cancel(p.st.tag, p.st.deliveries); err != nil {
			return err
		}
		return errIdle
	}
	fragile := p.sub.c.b.topology.queue(p.sub.queue).AutoDelete // it would go with its last consumer
	if p.apart || fragile || p.sub.c.cfg.Exclusive || p.st.oldest() <= limit/apartAfter {
		return nil
	}
	p.apart = true
	return p.st.halt(p.st.tag)
}
