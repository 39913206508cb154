package amqp

import "time"

// The parts of the broker's delivery timeout after which something is done about a delivery.
const (
	apartAfter = 10 // a tenth: the next deliveries come on another channel
	idleAfter  = 2  // half: one that nobody takes is given back, with those behind it
)

// passage is what is noted of the passing of one stream's deliveries to the callers of Next.
type passage struct {
	sub   *subscription
	st    *stream
	taken uint64    // of the line, so far
	since time.Time // when the next one became the next
	apart bool      // the broker sends no more; what it has sent is passed on
	ages  *time.Ticker
	watch *watch
}

func newPassage(sub *subscription, st *stream) *passage {
	cfg := sub.c.b.cfg
	return &passage{
		sub: sub, st: st, since: time.Now(),
		ages:  time.NewTicker(max(cfg.DeliveryTimeout/apartAfter/4, time.Millisecond)),
		watch: newWatch(cfg.WatchInterval << min(sub.silences, maxSilences)),
	}
}

func (p *passage) stop() {
	p.ages.Stop()
	p.watch.stop()
}

// checkAges stops the broker from sending on this channel when a delivery is out for long: with it, the broker would take back all
// others of the channel. When nobody takes what was sent, it goes back to where others may take it.
func (p *passage) checkAges() error {
	limit := p.sub.c.b.cfg.DeliveryTimeout
	if p.isIdle(limit / idleAfter) {
		if err := p.st.cancel(p.st.line); err != nil {
			return err
		}
		return errIdle
	}
	fragile := p.sub.c.b.topology.queue(p.sub.queue).AutoDelete // it would go with its last consumer
	if p.apart || fragile || p.sub.c.cfg.Exclusive || p.st.oldest() <= limit/apartAfter {
		return nil
	}
	p.apart = true
	return p.st.halt(p.st.line)
}

// isIdle reports whether the same delivery was the next one for longer than the limit.
func (p *passage) isIdle(limit time.Duration) bool {
	waiting, taken := p.st.line.state()
	if waiting == 0 || taken != p.taken {
		p.taken, p.since = taken, time.Now()
	}
	return time.Since(p.since) > limit
}
