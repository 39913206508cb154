package chaos

import (
	"cmp"
	"context"
	"hash/fnv"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
)

// Case is one kind of fault and what must hold in spite of it. In every case nothing may be lost, nothing may run that was not
// sent, nothing may be done twice that the fault did not interrupt, every visit is one row, and work goes on afterwards.
type Case struct {
	Name    string
	Number  string // of the fault in the matrix
	Fault   string // what happens, in words
	Run     func(context.Context, *Scene) error
	Load    Load
	Workers int                // processes; 0: 2
	Slots   int                // of each; 0: 4
	Cluster bool               // three nodes instead of one
	Types   []broker.QueueType // variants; none: classic and quorum
	Pools   []pool.Kind        // variants; none: goroutines, threads and solo
	// Heartbeat of the connections; 0: the default, 10 s.
	Heartbeat time.Duration
	// DeliveryTimeout is what the workers are told of the broker's; 0: the default, 30 min.
	DeliveryTimeout time.Duration
	// DeadHosts puts brokers that do not exist before the one that does; OneName gives all workers one node name.
	DeadHosts, OneName bool
	// Held is how many messages each worker may hold besides those of its slots: those of batches.
	Held int
	// Limits gives the case a limit store.
	Limits bool
	// Bound is how long recovery may take; 0: 5 s.
	Bound time.Duration
	// Prepare is called before the workers start; Restore after everything, also after a failure.
	Prepare, Restore func(context.Context, *Scene) error
	// Impossible says why the fault cannot be injected here; then nothing runs.
	Impossible string
}

// variant is one run of a case: with a queue type and a pool.
type variant struct {
	Case

	queue broker.QueueType
	pool  pool.Kind
}

// variants returns all combinations of a case, or the nth one alone.
func (c Case) variants() []variant {
	types, pools := c.Types, c.Pools
	if len(types) == 0 {
		types = []broker.QueueType{broker.Classic, broker.Quorum}
	}
	if len(pools) == 0 {
		pools = []pool.Kind{pool.Goroutines, pool.Threads, pool.Solo}
	}
	var all []variant
	for i := range len(types) * len(pools) { // neighbours differ in both, where they can
		all = append(all, variant{c, types[i%len(types)], pools[(i/len(types)+i%len(types))%len(pools)]})
	}
	return all
}

// hash is a number that only the name decides, so that a case draws the same whatever other cases there are.
func (c Case) hash() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.Name)) // never fails
	return h.Sum64()
}

func (c Case) workers() int { return cmp.Or(c.Workers, 2) }

func (c Case) bound() time.Duration { return cmp.Or(c.Bound, 5*time.Second) }

// slots of each worker: a solo pool has one.
func (v variant) slots() int {
	if v.pool == pool.Solo {
		return 1
	}
	return cmp.Or(v.Slots, 4)
}
