package amqp

import (
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// stream is one consuming channel of one session: the deliveries of one queue, and their settling. It ends with the channel or
// the session and is not repaired. After its end its deliveries are stale: their tags would mean other messages elsewhere.
type stream struct {
	s    *session
	ch   *amqp091.Channel
	gate *gate

	tag        string // of the consumer
	prefetch   int
	deliveries <-chan amqp091.Delivery
	closes     chan *amqp091.Error // closed by the client library, like cancels
	cancels    chan string         // gets the tags of consumers that the broker ended

	mu    sync.Mutex
	out   map[uint64]struct{} // tags handed out and not settled
	ended bool
}

// openStream opens a channel and consumes from the queue on it.
func openStream(s *session, gate *gate, cfg broker.ConsumeConfig, queue, tag string) (*stream, error) {
	defer s.guard()()
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, s.explain(err)
	}
	st := &stream{
		s: s, ch: ch, gate: gate,
		closes:  ch.NotifyClose(make(chan *amqp091.Error, 1)),
		cancels: ch.NotifyCancel(make(chan string, 16)),
		out:     make(map[uint64]struct{}),
	}
	if err := st.consume(cfg, queue, tag); err != nil {
		_ = ch.Close() // the broker closed it already, or the session is lost
		return nil, s.explain(err)
	}
	return st, nil
}

// consume starts a consumer with the gate's prefetch. Quality of service counts per consumer, as quorum queues demand, and
// applies to the consumers started after it.
func (st *stream) consume(cfg broker.ConsumeConfig, queue, tag string) error {
	prefetch := min(st.gate.size(), 1<<16-1)
	if err := st.ch.Qos(prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := st.ch.Consume(queue, tag, false, cfg.Exclusive, false, false, nil)
	if err != nil {
		return err
	}
	st.tag, st.prefetch, st.deliveries = tag, prefetch, deliveries
	return nil
}

// cancel stops a consumer of the stream and gives back what was received and not handed out.
func (st *stream) cancel(tag string, deliveries <-chan amqp091.Delivery) error {
	stop := st.s.guard()
	err := st.ch.Cancel(tag, false)
	stop()
	if err != nil {
		return st.s.explain(err)
	}
	for d := range deliveries { // the client library closes it after the last one
		if err := st.giveBack(d.DeliveryTag); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) giveBack(tag uint64) error {
	return st.s.explain(st.ch.Nack(tag, false, true))
}

// whyEnded is why the client library closed deliveries.
func (st *stream) whyEnded() error {
	select {
	case reply := <-st.closes:
		return st.s.explain(replyOrLost(reply))
	default:
		return errConsumerEnded
	}
}

// handOut notes that the delivery is with a caller now; false when the stream has ended meanwhile.
func (st *stream) handOut(tag uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended || !st.s.alive() {
		return false
	}
	st.out[tag] = struct{}{}
	return true
}

// acknowledge settles a delivery that nobody else will, as it is handed out, and frees its place; false when the stream has ended.
func (st *stream) acknowledge(tag uint64) bool {
	st.mu.Lock()
	ended := st.ended || !st.s.alive()
	st.mu.Unlock()
	if ended || st.ch.Ack(tag, false) != nil {
		return false
	}
	st.gate.leave(1)
	return true
}

// settle writes the disposition of a delivery that was handed out. This is the place to coalesce acknowledgements: out says which
// tags a multiple one would cover.
func (st *stream) settle(tag uint64, how broker.Disposition) error {
	st.mu.Lock()
	_, mine := st.out[tag]
	delete(st.out, tag)
	st.mu.Unlock()
	if !mine {
		return broker.ErrStale
	}
	defer st.gate.leave(1)
	if !st.s.alive() {
		return broker.ErrStale
	}
	var err error
	switch how {
	case broker.Ack:
		err = st.ch.Ack(tag, false)
	case broker.Requeue:
		err = st.ch.Nack(tag, false, true)
	case broker.Reject:
		err = st.ch.Nack(tag, false, false)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrStale, err)
	}
	return nil
}

// end makes what was handed out stale and closes the channel, on which the broker takes everything unsettled back.
func (st *stream) end() {
	st.mu.Lock()
	lost := len(st.out)
	clear(st.out)
	st.ended = true
	st.mu.Unlock()
	st.gate.leave(lost)
	defer st.s.guard()()
	_ = st.ch.Close() // it is over, one way or the other
}
