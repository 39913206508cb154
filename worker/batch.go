package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// collector holds the requests of one task until they are a batch. What it holds has passed the gate and waits like what waits for a
// slot: it is unstarted, and goes back to its queue when the worker stops.
type collector struct {
	w      *Worker
	policy task.BatchPolicy
	first  chan struct{} // there is a first request of a batch now; buffered

	mu     sync.Mutex // guards the rest
	held   []*execution
	due    time.Time // of held, when it is not full before
	closed bool      // the worker stops
}

// CheckBatches returns an error when a task that Batches names cannot run in batches.
func (o Options) CheckBatches(registry *task.Registry) error {
	for _, name := range slices.Sorted(maps.Keys(o.Batches)) {
		spec := registry.Lookup(name)
		err := o.Batches[name].Validate()
		switch {
		case spec == nil || spec.Handler == nil:
			err = errors.New("this worker has no task of that name" + batchable(registry))
		case spec.Batch == nil:
			err = errors.New("the task takes one call at a time; task.NewBatch makes tasks that take several" + batchable(registry))
		}
		if err != nil {
			return fmt.Errorf("worker: batches of %s: %w", name, err)
		}
	}
	return nil
}

// batchable names the tasks that run in batches, for an error.
func batchable(registry *task.Registry) string {
	var names []string
	for _, spec := range registry.All() {
		if spec.Handler != nil && spec.Batch != nil {
			names = append(names, spec.Name)
		}
	}
	if names == nil {
		return ""
	}
	return "; those that can be collected here: " + strings.Join(names, ", ")
}

// makeCollectors makes one for each task that runs in batches. A batch of one is an ordinary task: there is nothing to wait for, and it
// has its slot for itself.
func (w *Worker) makeCollectors() error {
	if err := w.cfg.CheckBatches(w.cfg.Registry); err != nil {
		return err
	}
	w.collectors = map[*task.Spec]*collector{}
	for _, spec := range w.cfg.Registry.All() {
		if spec.Handler == nil || spec.Batch == nil {
			continue
		}
		policy, ok := w.cfg.Batches[spec.Name]
		if !ok {
			policy = *spec.Batch
		}
		if policy.Size == 1 {
			continue
		}
		w.collectors[spec] = &collector{w: w, policy: policy, first: make(chan struct{}, 1)}
	}
	if n := w.batchNeed(w.cfg.Concurrency); n > maxPrefetch {
		w.log.Warn("batches are more than a broker hands out at once: they will not be full", "wanted", n, "limit", maxPrefetch)
	}
	return nil
}

// maxPrefetch is what AMQP can say (basic.qos).
const maxPrefetch = math.MaxUint16

// batchPrefetch is how many deliveries the worker must hold beside the n that it holds without batches: a full one on each of its slots,
// and one of each task in the making.
func (w *Worker) batchPrefetch(n, slots int) int {
	return max(0, min(w.batchNeed(slots), maxPrefetch-n))
}

func (w *Worker) batchNeed(slots int) int {
	largest, all := 0, 0
	for _, c := range w.collectors {
		n := c.policy.Size
		largest, all = max(largest, n), all+n
	}
	return slots*largest + all
}

// startCollecting watches over what is collected until the worker stops.
func (w *Worker) startCollecting() {
	for _, c := range w.collectors {
		w.loops.Go(func() { c.watch(w.stopping) })
	}
}

// submitCollected hands what is collected to slots at once. The caller has the turn.
func (w *Worker) submitCollected(ctx context.Context) {
	for _, c := range w.collectors {
		c.submit(ctx, c.take())
	}
}

// add takes a request, and hands the batch to a slot if it is full now; it waits for a free one. A suspect runs by itself: if it kills
// the process, nobody else is to be suspected.
func (c *collector) add(ctx context.Context, e *execution) {
	if e.delivery.suspect != nil {
		c.submit(ctx, []*execution{e})
		return
	}
	full, ok := c.hold(e)
	if !ok {
		e.giveBack()
		return
	}
	if full {
		c.submit(ctx, c.take())
	}
}

// hold keeps the request; ok is false when the worker stops.
func (c *collector) hold(e *execution) (full, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false, false
	}
	if c.held = append(c.held, e); len(c.held) >= c.policy.Size {
		return true, true
	}
	if len(c.held) == 1 {
		c.due = time.Now().Add(c.policy.Wait)
		select {
		case c.first <- struct{}{}:
		default: // it has not been looked at yet
		}
	}
	return false, true
}

// take returns what is held.
func (c *collector) take() []*execution {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.held
	c.held = nil
	return held
}

// submit hands a batch to a slot; it waits for a free one. The caller has the turn.
func (c *collector) submit(ctx context.Context, calls []*execution) {
	if len(calls) == 0 {
		return
	}
	b := &batch{w: c.w, calls: calls}
	if err := c.w.pool.Submit(ctx, b.run); err != nil && !c.putBack(calls) {
		giveAllBack(calls) // nothing has started
	}
}

// putBack holds the calls of a batch that no slot has taken; false when the worker stops.
func (c *collector) putBack(calls []*execution) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.held = append(calls, c.held...)
	c.due = time.Now()
	select {
	case c.first <- struct{}{}:
	default: // it has not been looked at yet
	}
	return true
}

// watch hands on the batches that are due before they are full, until ctx is done. Then it gives back what is held.
func (c *collector) watch(ctx context.Context) {
	for ctx.Err() == nil {
		wait, waiting := c.remaining()
		if !waiting {
			select {
			case <-c.first:
			case <-ctx.Done():
			}
			continue
		}
		if wait > 0 {
			pause(ctx, wait)
			continue
		}
		if c.w.takeTurn(ctx) {
			c.submit(ctx, c.take())
			<-c.w.turn
		}
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	giveAllBack(c.take())
}

// remaining is how long the batch in the making may still wait for others, and whether there is one.
func (c *collector) remaining() (wait time.Duration, waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.due), len(c.held) > 0
}

// giveAllBack gives requests back side by side: a broker that does not answer costs its time limit once.
func giveAllBack(calls []*execution) {
	var wg sync.WaitGroup
	for _, e := range calls {
		wg.Go(e.giveBack)
	}
	wg.Wait()
}
