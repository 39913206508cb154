package worker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
)

// QueueOrder says which of several queues the next task is taken from.
type QueueOrder string

// The orders. The zero value is Fair.
const (
	// Fair takes from all queues that have something, in proportion to Options.Weights where there are some.
	Fair QueueOrder = "fair"
	// Strict takes from a queue only while those before it in Options.Queues have nothing.
	Strict QueueOrder = "strict"
)

// MaxWeight is the highest weight of a queue.
const MaxWeight = 10_000

// DirectQueue returns the name of the queue that only the worker of this node name consumes, Celery's worker_direct
// (celery/utils/nodenames.py).
func DirectQueue(node string) string { return node + ".dq2" }

// validateQueues refuses what the options say of queues when it makes no sense.
func (o Options) validateQueues() error {
	switch {
	case o.QueueOrder != "" && o.QueueOrder != Fair && o.QueueOrder != Strict:
		return fmt.Errorf("worker: queue order %q (worker.queue_order) is neither fair nor strict", o.QueueOrder)
	case o.QueueOrder == Strict && len(o.Weights) > 0:
		return errors.New("worker: in the strict order (worker.queue_order) the first queue comes first, and weights (worker.queues) mean nothing: leave one of the two out")
	case o.ConsumerPriority < math.MinInt32 || o.ConsumerPriority > math.MaxInt32:
		return fmt.Errorf("worker: consumer priority %d (worker.consumer_priority) does not fit into 32 bits", o.ConsumerPriority)
	}
	for _, queue := range slices.Sorted(maps.Keys(o.Weights)) {
		if w := o.Weights[queue]; w < 1 || w > MaxWeight {
			return fmt.Errorf("worker: the weight of queue %s (worker.queues) is %d; use a number from 1 to %d", queue, w, MaxWeight)
		}
	}
	return nil
}

// completeQueues adds the worker's own queue, and looks for weights without a queue.
func (c *Config) completeQueues() error {
	if c.Direct {
		c.Queues = append(slices.Clone(c.Queues), DirectQueue(c.Hostname))
	}
	var queues []string
	for _, queue := range c.Queues {
		if !slices.Contains(queues, queue) {
			queues = append(queues, queue)
		}
	}
	if c.Queues = queues; len(c.Queues)+len(c.Broadcasts) == 0 {
		return errors.New("worker: no queue to consume")
	}
	for _, queue := range slices.Sorted(maps.Keys(c.Weights)) {
		if !slices.Contains(c.Queues, queue) && !slices.Contains(c.Broadcasts, queue) {
			return fmt.Errorf("worker: queue %s has a weight and is not consumed: add it to the queues (worker.queues)", queue)
		}
	}
	return nil
}

// consumed is a queue that the worker takes deliveries from.
type consumed struct {
	queue  string
	weight int
	// fanout is the exchange of a broadcast, whose queue is this worker's alone and goes with its consumer: what is published while
	// there is none is not for this worker.
	fanout string
}

// consumed are the queues of the configuration. Those that are this worker's alone come first, because nobody else takes from them; its
// queues for broadcasts get new names.
func (c *Config) consumed() []consumed {
	var all []consumed
	for _, name := range c.Broadcasts {
		all = append(all, consumed{queue: "bcast." + uuid.NewString(), weight: max(1, c.Weights[name]), fanout: name})
	}
	own := len(all)
	for _, name := range c.Queues {
		q := consumed{queue: name, weight: max(1, c.Weights[name])}
		if c.Direct && name == DirectQueue(c.Hostname) {
			all = slices.Insert(all, own, q)
			continue
		}
		all = append(all, q)
	}
	return all
}

// topology of a broadcast is kombu's (kombu/common.py, Broadcast).
func (q consumed) topology() broker.Topology {
	return broker.Topology{
		Exchanges: []broker.Exchange{{Name: q.fanout, Kind: broker.Fanout}},
		Queues:    []broker.Queue{{Name: q.queue, AutoDelete: true}},
		Bindings:  []broker.Binding{{Exchange: q.fanout, Queue: q.queue}},
	}
}

// keepsDead reports whether what goes wrong with messages of the queue is kept: not of a queue that goes with this worker.
func (w *Worker) keepsDead(queue string) bool {
	return w.cfg.DeadLetters && !slices.ContainsFunc(w.consumed, func(q consumed) bool { return q.queue == queue && q.fanout != "" })
}
