package amqp

import (
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	// ackDelay is how long an acknowledgement waits for others to be written with.
	ackDelay = time.Millisecond
	// ackBatch bounds how many wait, and so does a quarter of the prefetch: the broker sends no more while they do.
	ackBatch = 64
)

// stream is one consuming channel of one session: the deliveries of one queue, and their settling. It ends with the channel or
// the session and is not repaired. After its end its deliveries are stale: their tags would mean other messages elsewhere.
type stream struct {
	s      *session
	ch     *amqp091.Channel
	queue  string
	count  int // of earlier hand-outs of a message that does not say: 0 or, for queues that do not count, -1
	gate   *gate
	inbox  *inbox
	counts *counts
	rested func()      // called when the last stale delivery of the gate is settled
	stale  func() bool // hasEnded

	line    *line               // of the consumer
	some    chan struct{}       // buffered: something came to a line that had heard nothing
	closes  chan *amqp091.Error // closed by the client library, like cancels
	cancels chan string         // gets the tags of consumers that the broker ended
	// innocent is until when a redelivery says nothing about the worker that had it before: this stream, or its session, replaces a
	// lost one.
	innocent time.Time

	mu       sync.Mutex
	idle     *sync.Cond // on mu: writing has become false
	prefetch int
	out      map[uint64]time.Time // tags handed out and not settled, and since when
	acks     acks
	timer    *time.Timer   // flushes; nil before the first acknowledgement that waits
	writing  bool          // somebody writes acknowledgements, and goes on until none is left
	empty    chan struct{} // closed when a retired stream has nothing out any more; nil before
	ended    bool
}

// openStream opens a channel and consumes from the queue on it.
func openStream(s *session, sub *subscription, innocent time.Time) (*stream, error) {
	defer s.guard()()
	c := sub.c
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, s.explain(err)
	}
	st := &stream{
		s: s, ch: ch, queue: sub.queue, count: -1, innocent: innocent,
		gate: c.gate, inbox: c.inbox, counts: &c.b.counts, rested: c.retune,
		some:    make(chan struct{}, 1),
		closes:  ch.NotifyClose(make(chan *amqp091.Error, 1)),
		cancels: ch.NotifyCancel(make(chan string, 16)),
		out:     make(map[uint64]time.Time),
	}
	st.stale = st.hasEnded
	st.idle = sync.NewCond(&st.mu)
	if c.b.topology.queue(sub.queue).Type == broker.Quorum {
		st.count = 0
	}
	if err := st.consume(c.cfg, sub.nextTag()); err != nil {
		_ = ch.Close() // the broker closed it already, or the session is lost
		return nil, s.explain(err)
	}
	return st, nil
}

// consume starts a consumer with the gate's prefetch. Quality of service counts per consumer, as quorum queues demand, and
// applies to the consumers started after it.
func (st *stream) consume(cfg broker.ConsumeConfig, tag string) error {
	prefetch := min(st.gate.share(), 1<<16-1)
	if err := st.ch.Qos(prefetch, 0, false); err != nil {
		return err
	}
	var args amqp091.Table
	if cfg.Priority != 0 {
		args = amqp091.Table{"x-priority": int32(cfg.Priority)}
	}
	l := newLine(st.inbox, tag)
	l.st, l.some = st, st.some
	st.s.frames.intake.open(l) // before the first delivery
	if _, err := st.ch.Consume(st.queue, tag, false, cfg.Exclusive, false, false, args); err != nil {
		st.s.frames.intake.close(l)
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.prefetch, st.line = prefetch, l
	return nil
}

// cancel stops a consumer of the stream and gives back what was received and not handed out.
func (st *stream) cancel(l *line) error {
	err := st.halt(l)
	for _, a := range l.clear() {
		if err == nil {
			err = st.giveBack(a.tag)
		}
	}
	return err
}

// halt stops a consumer of the stream. What was received before can still be taken.
func (st *stream) halt(l *line) error {
	defer st.s.guard()()
	err := st.s.explain(st.ch.Cancel(l.tag, false))
	st.s.frames.intake.close(l)
	l.close()
	return err
}

func (st *stream) giveBack(tag uint64) error { return st.refuse(tag, true) }

// refuse writes a negative acknowledgement. Until that is done no other one may cover the tag.
func (st *stream) refuse(tag uint64, requeue bool) error {
	if err := st.ch.Nack(tag, false, requeue); err != nil {
		return st.s.explain(err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.acks.settle(tag, false)
	st.closeWhenEmpty()
	return nil
}

// handOut notes that the delivery is with a caller now; false when the stream has ended meanwhile.
func (st *stream) handOut(tag uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended || !st.s.alive() {
		return false
	}
	st.out[tag] = time.Now()
	return true
}

// hasEnded reports whether what is out is stale.
func (st *stream) hasEnded() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended || !st.s.alive()
}

// oldest is how long the delivery has been out that was handed out first; 0 when nothing is out.
func (st *stream) oldest() time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	var age time.Duration
	for _, since := range st.out {
		age = max(age, time.Since(since))
	}
	return age
}

// isFull reports whether as many are out as the broker sends: it is no wonder then that it sends nothing.
func (st *stream) isFull() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.out) >= st.prefetch
}

// acknowledge settles a delivery that nobody else will, as it is handed out, and frees its place; false when the stream has ended.
func (st *stream) acknowledge(tag uint64) bool {
	if !st.handOut(tag) {
		return false
	}
	return st.settle(tag, broker.Ack) == nil
}

// settle writes the disposition of a delivery that was handed out, or sees to it that its acknowledgement is written soon, with
// those of others.
func (st *stream) settle(tag uint64, how broker.Disposition) error {
	if !st.take(tag) {
		st.counts.stale.Add(1)
		return broker.ErrStale
	}
	defer st.gate.leave()
	var err error
	switch how {
	case broker.Ack:
		err = st.acknowledgeSoon(tag)
	case broker.AckNow:
		err = st.acknowledgeNow(tag)
	default:
		if err = st.refuse(tag, how == broker.Requeue); err != nil {
			st.counts.stale.Add(1)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrStale, err)
	}
	return nil
}

// take takes a delivery off those that are out; false when it is stale.
func (st *stream) take(tag uint64) bool {
	st.mu.Lock()
	delete(st.out, tag)
	ended := st.ended
	st.mu.Unlock()
	if ended {
		if st.gate.leaveStale() {
			st.rested()
		}
		return false
	}
	if !st.s.alive() {
		st.gate.leave()
		return false
	}
	return true
}

func (st *stream) acknowledgeSoon(tag uint64) error {
	st.mu.Lock()
	st.acks.settle(tag, true)
	if st.acks.unsent < min(st.prefetch/4, ackBatch) {
		if st.timer == nil {
			st.timer = time.AfterFunc(ackDelay, func() { _ = st.flush() }) // what does not get through is counted
		} else if st.acks.unsent == 1 {
			st.timer.Reset(ackDelay)
		}
		st.mu.Unlock()
		return nil
	}
	st.mu.Unlock()
	return st.flush()
}

// acknowledgeNow returns once the acknowledgement is written, together with those that wait.
func (st *stream) acknowledgeNow(tag uint64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.acks.settle(tag, true)
	for st.writing { // that one goes on with it
		st.idle.Wait()
	}
	err := st.write()
	if err == nil && !st.s.alive() {
		err = errLost // perhaps before it was written
	}
	st.closeWhenEmpty()
	return err
}

// flush writes the acknowledgements that wait. When somebody does already, that one goes on with them.
func (st *stream) flush() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writing || st.ended {
		return nil
	}
	err := st.write()
	st.closeWhenEmpty()
	return err
}

// write writes acknowledgements until none waits. The caller holds mu, which is free in between.
func (st *stream) write() error {
	st.writing = true
	defer func() {
		st.writing = false
		st.idle.Broadcast()
	}()
	var plan []ack
	for st.acks.unsent > 0 {
		n := st.acks.unsent
		plan = st.acks.plan(plan[:0])
		st.mu.Unlock()
		err := st.writeAll(plan)
		st.mu.Lock()
		if err != nil {
			st.counts.stale.Add(uint64(n))
			return err
		}
		st.counts.acks.Add(uint64(len(plan)))
		st.counts.acked.Add(uint64(n))
	}
	return nil
}

// writeAll writes the acknowledgements of a plan, all with one write: behind a task that still runs each needs a frame of its own.
func (st *stream) writeAll(plan []ack) error {
	err := st.s.frames.outlet.together(func() error {
		for _, a := range plan {
			if err := st.ch.Ack(a.tag, a.multiple); err != nil {
				return err
			}
		}
		return nil
	})
	if flushed := st.s.frames.flush(); err == nil {
		err = flushed
	}
	return st.s.explain(err)
}

// retire makes a stream that gets no more deliveries say when everything of it is settled.
func (st *stream) retire() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.empty == nil {
		st.empty = make(chan struct{})
	}
	empty := st.empty
	st.closeWhenEmpty()
	return empty
}

// closeWhenEmpty closes empty when nothing is out and every acknowledgement is written. The caller holds mu.
func (st *stream) closeWhenEmpty() {
	if st.empty == nil || len(st.out) > 0 || st.acks.unsent > 0 {
		return
	}
	select {
	case <-st.empty:
	default:
		close(st.empty)
	}
}

// end writes what waits, makes what is out stale and closes the channel, on which the broker takes everything unsettled back.
func (st *stream) end() {
	defer st.s.guard()()
	st.mu.Lock()
	for st.writing {
		st.idle.Wait()
	}
	if st.s.alive() {
		_ = st.write() // what does not get through is counted
	}
	st.counts.stale.Add(uint64(st.acks.unsent))
	st.gate.expire(len(st.out))
	st.ended = true
	if st.timer != nil {
		st.timer.Stop()
	}
	st.mu.Unlock()
	_ = st.ch.Close() // it is over, one way or the other
	st.s.frames.intake.close(st.line)
	st.line.clear()
}
