package task

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Gathering brings the calls of one batch together. Workers make it: each call's handler runs on a goroutine of its own with a context
// of its Seat, and waits inside for what the batch brings it; Run runs the batch on the goroutine that calls it.
type Gathering struct {
	missing sync.WaitGroup // calls that have neither come nor left
	over    chan struct{}  // closed by End

	mu    sync.Mutex // guards the rest
	calls []gathered // by seat; nil: not taken
	run   func(context.Context, []gathered) error
	ended bool
}

// gathered is a *BatchCall of any type.
type gathered interface{ end(err error) }

// NewGathering returns one for n calls.
func NewGathering(n int) *Gathering {
	g := &Gathering{over: make(chan struct{}), calls: make([]gathered, n)}
	g.missing.Add(n)
	return g
}

// Run waits until each of the calls has come or left, and runs the batch of those that have come. It returns the error of the batch's
// function, nil when nobody came or the gathering was ended before. The caller then calls End, also after a panic.
func (g *Gathering) Run(ctx context.Context) error {
	g.missing.Wait()
	g.mu.Lock()
	calls := slices.DeleteFunc(slices.Clone(g.calls), func(c gathered) bool { return c == nil })
	run, ended := g.run, g.ended
	g.mu.Unlock()
	if ended || len(calls) == 0 {
		return nil
	}
	return run(ctx, calls)
}

// End makes err the outcome of the calls that have none, and lets all handlers return. Only the first call of it counts.
func (g *Gathering) End(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	for _, c := range g.calls {
		if c != nil {
			c.end(err)
		}
	}
	close(g.over)
}

// Seat is the place of one call in a gathering.
type Seat struct {
	g    *Gathering
	i    int
	once sync.Once
}

// Seat returns the place of the call i, counted from 0: the batch's function gets the calls in that order.
func (g *Gathering) Seat(i int) *Seat { return &Seat{g: g, i: i} }

// Leave says that the call's handler has returned, or is not called at all: the batch waits for it no longer.
func (s *Seat) Leave() { s.once.Do(s.g.missing.Done) }

type seatKey struct{}

// WithSeat returns the context for the call's handler.
func WithSeat(ctx context.Context, s *Seat) context.Context {
	return context.WithValue(ctx, seatKey{}, s)
}

var errSecondCall = errors.New("task: a middleware called the handler of a batch's call a second time, when the batch was over")

// join adds the call to the gathering that ctx has a seat in and waits for its outcome. Without one it runs a batch of one.
func join(ctx context.Context, c gathered, run func(context.Context, []gathered) error) error {
	s, ok := ctx.Value(seatKey{}).(*Seat)
	if !ok {
		c.end(run(ctx, []gathered{c}))
		return nil
	}
	if !s.sit(c, run) {
		return errSecondCall
	}
	<-s.g.over
	return nil
}

// sit takes the seat; false when it was taken or left before.
func (s *Seat) sit(c gathered, run func(context.Context, []gathered) error) (sat bool) {
	s.once.Do(func() {
		s.g.mu.Lock()
		defer s.g.mu.Unlock()
		if sat = !s.g.ended; sat {
			s.g.calls[s.i], s.g.run = c, run
		}
		s.g.missing.Done()
	})
	return sat
}
