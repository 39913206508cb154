// Package order is what the harness tells a subject, the program that is measured, and what the subject tells back. A subject gets its
// order as JSON in its only argument. It prints Ready on a line of its own when it consumes, or is about to send; then nothing until
// it ends, when a line with a JSON Account follows. A worker ends on SIGTERM, having settled what it has begun; a sender by itself.
package order

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
)

// Ready is the line with which a subject says that it is.
const Ready = "ready"

// Roles of a subject.
const (
	Work = "work"
	Send = "send"
)

// Kinds of work.
const (
	Add   = "add"   // x + y
	Visit = "visit" // store a visit: access_record
	Hold  = "hold"  // x + y, but the first run of each task never ends, for workers that are to be killed
)

// Ways of sending.
const (
	Each      = "each"      // one after the other, each confirmed before the next, from Senders goroutines
	Pipelined = "pipelined" // in batches, which are confirmed together
)

// Order is what a subject is to do. What a subject has no notion of it ignores, and the harness does not ask for.
type Order struct {
	Role string `json:"role"`
	Work string `json:"work"`

	Broker   string `json:"broker"`   // amqp://, redis:// or postgres://, as the subject needs it
	Results  string `json:"results"`  // where outcomes are stored; "": nowhere
	Database string `json:"database"` // of the visits, postgres://

	Queues []string `json:"queues"`
	Quorum bool     `json:"quorum"` // they are quorum queues
	Names  int      `json:"names"`  // how many kinds of tasks are registered and sent in turn: tasks.add, tasks.add1, …
	Ledger string   `json:"ledger"`
	Tasks  int      `json:"tasks"` // in the ledger

	// of a worker
	Pool     string `json:"pool"` // the subject's own name for it
	Slots    int    `json:"slots"`
	Prefetch int    `json:"prefetch"` // messages in all, not per slot
	Batch    int    `json:"batch"`    // visits in one batch; 0: single
	Events   bool   `json:"events"`

	// of a sender
	Mode    string  `json:"mode"`
	Senders int     `json:"senders"`
	Body    int     `json:"body"`  // bytes of padding in the arguments, as keyword "pad"
	Rate    float64 `json:"rate"`  // messages per second; 0: as fast as it goes
	Delay   float64 `json:"delay"` // seconds until the tasks are due
}

// Read reads the order from the command line.
func Read() (Order, error) {
	var o Order
	if len(os.Args) != 2 {
		return o, fmt.Errorf("want one argument, an order in JSON; got %d", len(os.Args)-1)
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
		return o, fmt.Errorf("read the order: %w", err)
	}
	return o, nil
}

// Task is the name of the task with the number i.
func (o Order) Task(i int) string {
	if o.Work == Visit {
		return "access_record"
	}
	if i %= max(o.Names, 1); i > 0 {
		return "tasks.add" + strconv.Itoa(i)
	}
	return "tasks.add"
}

// Queue is the queue of the task with the number i.
func (o Order) Queue(i int) string { return o.Queues[i%len(o.Queues)] }

// Account is what a subject says of itself when it ends.
type Account struct {
	// Mallocs are the allocations while the work was done, all goroutines together; 0 where nobody counts.
	Mallocs uint64 `json:"mallocs"`
	// Bytes that these allocations took.
	Bytes uint64 `json:"bytes"`
	// Seconds that sending took, from the first message to the last confirm.
	Seconds float64 `json:"seconds"`
}

// Meter counts allocations from Begin to End.
type Meter struct{ before runtime.MemStats }

// Begin starts counting.
func (m *Meter) Begin() { runtime.ReadMemStats(&m.before) }

// End adds what was counted to the account.
func (m *Meter) End(a *Account) {
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	a.Mallocs, a.Bytes = after.Mallocs-m.before.Mallocs, after.TotalAlloc-m.before.TotalAlloc
}

// Write prints the account, the last line of a subject.
func (a Account) Write(w io.Writer) error { return json.NewEncoder(w).Encode(a) }
