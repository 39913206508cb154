package mem

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
)

// queue is guarded by its server's mutex.
type queue struct {
	broker.Queue
	rules     local.Rules
	owner     *Broker // of an exclusive queue
	ready     ready
	consumers []*Consumer // the one whose turn it is comes first
	unused    *time.Timer // deletes the queue; nil without x-expires
	deleted   bool
	unsettled int // handed out
	parked    int // on their way here after a delay
}

// item is a message in one queue.
type item struct {
	msg           broker.Message
	exchange, key string
	priority      uint8
	sequence      uint64
	handedOut     int
	deadline      time.Time   // zero: never expires
	expiry        *time.Timer // runs while the item is ready
	index         int         // in ready, or gone
}

const gone = -1

// ready is a heap: the highest priority first, then the oldest.
type ready []*item //nolint:recvcheck // as container/heap wants it

func (r ready) Len() int { return len(r) }

func (r ready) Less(i, j int) bool {
	if r[i].priority != r[j].priority {
		return r[i].priority > r[j].priority
	}
	return r[i].sequence < r[j].sequence
}

func (r ready) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].index, r[j].index = i, j
}

// Push implements heap.Interface.
func (r *ready) Push(x any) {
	it := x.(*item)
	it.index = len(*r)
	*r = append(*r, it)
}

// Pop implements heap.Interface.
func (r *ready) Pop() any {
	last := len(*r) - 1
	it := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	it.index = gone
	return it
}

// put makes the message ready: a new one, or one that is given back.
func (s *Server) put(q *queue, it *item) {
	if q.deleted {
		return
	}
	if it.handedOut > 0 && !it.deadline.IsZero() && !time.Now().Before(it.deadline) {
		s.die(q, it)
		return
	}
	heap.Push(&q.ready, it)
	q.dispatch()
	if it.index == gone || it.deadline.IsZero() {
		return
	}
	it.expiry = time.AfterFunc(time.Until(it.deadline), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if it.index != gone && !q.deleted {
			s.expire(q)
		}
	})
}

// expire takes out what has expired, in order: timers of the same moment fire in any.
func (s *Server) expire(q *queue) {
	now := time.Now()
	var expired []*item
	for _, it := range q.ready {
		if !it.deadline.IsZero() && !it.deadline.After(now) {
			expired = append(expired, it)
		}
	}
	slices.SortFunc(expired, func(a, b *item) int {
		return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.sequence, b.sequence))
	})
	for _, it := range expired {
		it.stopExpiry()
		heap.Remove(&q.ready, it.index)
		s.die(q, it)
	}
}

// take returns the next message, nil when there is none.
func (q *queue) take() *item {
	if len(q.ready) == 0 {
		return nil
	}
	it := heap.Pop(&q.ready).(*item)
	it.stopExpiry()
	return it
}

func (it *item) stopExpiry() {
	if it.expiry != nil {
		it.expiry.Stop()
	}
}

// dispatch hands ready messages to waiting consumers: to the one of the highest priority, in turn among those of the same.
func (q *queue) dispatch() {
	for len(q.ready) > 0 {
		i := -1
		for n, c := range q.consumers {
			if c.wants() && (i < 0 || c.cfg.Priority > q.consumers[i].cfg.Priority) {
				i = n
			}
		}
		if i < 0 {
			return
		}
		c := q.consumers[i]
		q.consumers = append(slices.Delete(q.consumers, i, i+1), c)
		c.wake(outcome{delivery: c.handOut(q, q.take())})
	}
}

func (q *queue) attach(c *Consumer) {
	q.consumers = append(q.consumers, c)
	if q.unused != nil {
		q.unused.Stop()
	}
}

func (q *queue) detach(s *Server, c *Consumer) {
	i := slices.Index(q.consumers, c)
	if i < 0 {
		return
	}
	q.consumers = slices.Delete(q.consumers, i, i+1)
	if len(q.consumers) > 0 {
		return
	}
	if q.AutoDelete {
		s.deleteQueue(q)
		return
	}
	q.used(s)
}

// used starts the time anew after which an unused queue goes.
func (q *queue) used(s *Server) {
	if q.rules.Expires == 0 || len(q.consumers) > 0 {
		return
	}
	if q.unused != nil {
		q.unused.Reset(q.rules.Expires)
		return
	}
	q.unused = time.AfterFunc(q.rules.Expires, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(q.consumers) == 0 {
			s.deleteQueue(q)
		}
	})
}

func (q *queue) purge() int {
	n := len(q.ready)
	for _, it := range q.ready {
		it.stopExpiry()
		it.index = gone
	}
	q.ready = nil
	return n
}

// delete forgets the messages and takes the queue from its consumers.
func (q *queue) delete() {
	q.deleted = true
	q.purge()
	if q.unused != nil {
		q.unused.Stop()
	}
	for _, c := range q.consumers {
		c.lose(q)
	}
	q.consumers = nil
}
