package taskqtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// Faults break an application's broker and result store, as a network and servers do. They are safe for concurrent use.
type Faults struct {
	bus *bus

	mu          sync.Mutex // guards the fields below
	refuse      int
	unconfirmed int
	duplicate   int
	results     int
	down        chan struct{} // closed by Up; nil while the broker is there
}

// Down takes the broker away until Up: what is sent waits, or fails with broker.ErrUnavailable where the call says task.FailFast;
// workers get nothing, and what they have comes again afterwards.
func (f *Faults) Down() {
	f.mu.Lock()
	if f.down == nil {
		f.down = make(chan struct{})
	}
	f.mu.Unlock()
	f.Cut()
}

// Up brings the broker back.
func (f *Faults) Up() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		close(f.down)
		f.down = nil
	}
}

// Cut loses the workers' connection for a moment: what they are working on cannot be settled any more and comes again, to them or to
// others.
func (f *Faults) Cut() { f.bus.takeBack() }

// RefusePublish makes the next n messages fail with broker.ErrUnavailable; they are not taken. Calls that follow a task and retries
// are among them.
func (f *Faults) RefusePublish(n int) { f.set(&f.refuse, n) }

// LoseConfirms makes the next n messages fail with broker.ErrUnconfirmed although they are taken.
func (f *Faults) LoseConfirms(n int) { f.set(&f.unconfirmed, n) }

// Duplicate makes the broker deliver each of the next n messages twice.
func (f *Faults) Duplicate(n int) { f.set(&f.duplicate, n) }

// RefuseResults makes the result store fail with result.ErrUnavailable the next n times that something is to be stored.
func (f *Faults) RefuseResults(n int) { f.set(&f.results, n) }

func (f *Faults) set(counter *int, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*counter = n
}

// use counts a fault down; it reports whether it happens. The caller holds mu.
func use(counter *int) bool {
	if *counter <= 0 {
		return false
	}
	*counter--
	return true
}

// publishing says what becomes of a message: how often it is taken, and what the sender is told then; or why it is not taken.
func (f *Faults) publishing(ctx context.Context, failFast bool) (copies int, answer, err error) {
	if failFast && f.isDown() {
		return 0, nil, broker.ErrUnavailable
	}
	if err := f.up(ctx); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if use(&f.refuse) {
		return 0, nil, broker.ErrUnavailable
	}
	copies = 1
	if use(&f.duplicate) {
		copies = 2
	}
	if use(&f.unconfirmed) {
		answer = fmt.Errorf("taskqtest: publish: %w: %w", broker.ErrUnavailable, broker.ErrUnconfirmed)
	}
	return copies, answer, nil
}

func (f *Faults) isDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down != nil
}

// up waits until the broker is there.
func (f *Faults) up(ctx context.Context) error {
	for {
		f.mu.Lock()
		down := f.down
		f.mu.Unlock()
		if down == nil {
			return nil
		}
		select {
		case <-down:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// store is the result store, which breaks when told to.
type store struct {
	*resultmem.Backend
	faults *Faults
}

// Store implements result.Backend.
func (s *store) Store(ctx context.Context, meta task.Meta) error {
	s.faults.mu.Lock()
	broken := use(&s.faults.results)
	s.faults.mu.Unlock()
	if broken {
		return fmt.Errorf("taskqtest: store: %w", result.ErrUnavailable)
	}
	return s.Backend.Store(ctx, meta)
}
