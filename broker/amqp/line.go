package amqp

import (
	"context"
	"slices"
	"sync"
)

// inbox is what the broker sent to a consumer and nobody has taken yet: a line for each of its streams, served in turn, so that no
// queue starves another.
type inbox struct {
	mu    sync.Mutex
	turn  []*line       // those in which something waits, the next one first
	ready chan struct{} // buffered: perhaps something waits
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// take waits for an arrival and takes it. It returns nil when ended is closed, and ctx's error when that ends first.
func (in *inbox) take(ctx context.Context, ended <-chan struct{}) (*arrival, error) {
	for {
		select {
		case <-ended:
			return nil, nil
		default:
		}
		if a := in.next(); a != nil {
			return a, nil
		}
		select {
		case <-in.ready:
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// next takes the arrival whose turn it is; nil when there is none.
func (in *inbox) next() *arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.turn) == 0 {
		return nil
	}
	l := in.turn[0]
	copy(in.turn, in.turn[1:])
	in.turn = in.turn[:len(in.turn)-1]
	a := l.shift()
	if l.first < len(l.waiting) {
		in.turn = append(in.turn, l)
	}
	if len(in.turn) > 0 {
		signal(in.ready) // for another one who waits
	}
	return a
}

// line is what waits of one consumer, in the order in which it came. The broker's prefetch bounds it.
type line struct {
	in   *inbox
	tag  string          // of the consumer
	st   *stream         // that settles what is taken; nil for who only looks
	some chan<- struct{} // buffered: something came that is the first since listen; nil when nobody listens
	over chan struct{}   // closed once nothing more comes and nothing waits

	// in.mu guards what follows.
	waiting []*arrival
	first   int    // of waiting; those before are taken
	taken   uint64 // how many were taken in all
	heard   bool   // something came since listen
	closed  bool   // nothing more comes
}

func newLine(in *inbox, tag string) *line {
	return &line{in: in, tag: tag, over: make(chan struct{})}
}

// put lets an arrival wait. It never blocks: whoever reads from the connection calls it.
func (l *line) put(a *arrival) {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	if l.closed {
		return
	}
	a.line = l
	if l.first == len(l.waiting) {
		l.in.turn = append(l.in.turn, l)
	}
	if len(l.waiting) == cap(l.waiting) && l.first > len(l.waiting)/2 { // those that were taken make room
		n := copy(l.waiting, l.waiting[l.first:])
		clear(l.waiting[n:])
		l.waiting, l.first = l.waiting[:n], 0
	}
	l.waiting = append(l.waiting, a)
	if !l.heard {
		l.heard = true
		signal(l.some)
	}
	signal(l.in.ready)
}

// shift takes the first one. The caller holds in.mu.
func (l *line) shift() *arrival {
	a := l.waiting[l.first]
	l.waiting[l.first] = nil
	l.first++
	l.taken++
	if l.first == len(l.waiting) {
		l.waiting, l.first = l.waiting[:0], 0
		if l.closed {
			close(l.over)
		}
	}
	return a
}

// close lets nothing more in. What waits can still be taken.
func (l *line) close() {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if len(l.waiting) == 0 {
		close(l.over)
	}
}

// clear closes the line and returns what waits, which nobody else gets then.
func (l *line) clear() []*arrival {
	l.close()
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	var rest []*arrival
	for l.first < len(l.waiting) {
		rest = append(rest, l.shift())
	}
	l.in.turn = slices.DeleteFunc(l.in.turn, func(other *line) bool { return other == l })
	return rest
}

// state returns how many wait, and how many were taken before.
func (l *line) state() (waiting int, taken uint64) {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	return len(l.waiting) - l.first, l.taken
}

// listen reports whether something came since the last call, and has the next one told of.
func (l *line) listen() bool {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	heard := l.heard
	l.heard = false
	return heard
}

// hasHeard reports whether something came since listen.
func (l *line) hasHeard() bool {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	return l.heard
}

// signal puts something into a channel that holds one, if there is a channel.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
