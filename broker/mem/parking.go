package mem

import (
	"cmp"
	"container/heap"
	"context"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
)

var _ broker.Parking = (*Broker)(nil)

// parked is a message that enters its queue when its time comes.
type parked struct {
	*item
	queue    *queue
	due      time.Time
	order    uint64
	timer    *time.Timer
	position int // in the heap, or gone
}

// parkedHeap has the one that is due first in front, of two that are due at once the one that was parked first.
type parkedHeap []*parked //nolint:recvcheck // as container/heap wants it

func (h parkedHeap) Len() int { return len(h) }

func (h parkedHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), cmp.Compare(h[i].order, h[j].order)) < 0
}

func (h parkedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push implements heap.Interface.
func (h *parkedHeap) Push(x any) {
	p := x.(*parked)
	p.position = len(*h)
	*h = append(*h, p)
	p.queue.parked++
}

// Pop implements heap.Interface.
func (h *parkedHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	p.position = gone
	p.queue.parked--
	return p
}

// park lets the message enter the queue after the delay. The caller holds s.mu, here and below.
func (s *Server) park(q *queue, it *item, delay time.Duration) {
	s.sequence++
	p := &parked{item: it, queue: q, due: time.Now().Add(delay), order: s.sequence}
	heap.Push(&s.parked, p)
	p.timer = time.AfterFunc(delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.enterDue(p)
	})
}

// enterDue lets p and what is due before it enter their queues, in order: timers of the same moment fire in any.
func (s *Server) enterDue(p *parked) {
	for p.position != gone {
		first := heap.Pop(&s.parked).(*parked)
		first.timer.Stop()
		s.enter(first.queue, first.item)
	}
}

// unpark removes what matches and returns how many there were.
func (s *Server) unpark(match func(*parked) bool) int {
	var matching []*parked
	for _, p := range s.parked {
		if match(p) {
			matching = append(matching, p)
		}
	}
	for _, p := range matching {
		p.timer.Stop()
		heap.Remove(&s.parked, p.position)
	}
	return len(matching)
}

// show is what others see of it.
func (p *parked) show() broker.Parked {
	msg := p.msg
	msg.Headers = local.CloneTable(msg.Headers)
	return broker.Parked{Message: msg, To: broker.Address{Exchange: p.exchange, RoutingKey: p.key}, Due: p.due}
}

// Parked implements broker.Parking. A message that goes to several queues is shown for each.
func (b *Broker) Parked(ctx context.Context, show func(broker.Parked) bool) error {
	var all []broker.Parked
	err := b.do(ctx, "list what is parked", func(s *Server) error {
		for _, p := range s.parked {
			all = append(all, p.show())
		}
		return nil
	})
	for _, p := range all { // unlocked: show may use the broker
		if !show(p) {
			break
		}
	}
	return err
}

// Unpark implements broker.Parking. match must not use the broker.
func (b *Broker) Unpark(ctx context.Context, match func(broker.Parked) bool) (n int, err error) {
	err = b.do(ctx, "unpark", func(s *Server) error {
		n = s.unpark(func(p *parked) bool { return match(p.show()) })
		return nil
	})
	return n, err
}
