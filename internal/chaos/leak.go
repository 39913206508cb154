package chaos

import (
	"context"
	"fmt"
)

// holdings are what processes and connections cost, measured while nothing runs.
type holdings struct {
	connections, channels int // at the broker, over all nodes
	goroutines, files     int // of the worker that has most
}

// slack is how many more goroutines or files than before are none that a fault left: timers end, databases reconnect.
const slack = 3

// measure waits for the first reading that comes twice, since what ends takes a moment.
func (s *Scene) measure(ctx context.Context) (h holdings, err error) {
	err = until(ctx, leakWait, "quiet", func() (bool, error) {
		last := h
		h, err = s.count(ctx)
		return h == last, err
	})
	return h, err
}

func (s *Scene) count(ctx context.Context) (h holdings, err error) {
	for _, node := range s.nodes {
		connections, channels, err := clients(ctx, node)
		if err != nil {
			return h, err
		}
		h.connections += connections
		h.channels += channels
	}
	for _, p := range s.workers {
		goroutines, err := p.goroutines(s.dir)
		if err != nil {
			return h, err
		}
		files, err := p.files()
		if err != nil {
			return h, err
		}
		h.goroutines, h.files = max(h.goroutines, goroutines), max(h.files, files)
	}
	return h, nil
}

// asBefore waits until no more is held than before.
func (s *Scene) asBefore(ctx context.Context, before holdings) error {
	return until(ctx, leakWait, "as before", func() (bool, error) {
		now, err := s.count(ctx)
		if err != nil {
			return false, err
		}
		lazy := len(s.workers) // each opens one more channel when it first wants a task to wait
		if now.connections > before.connections || now.channels > before.channels+lazy ||
			now.goroutines > before.goroutines+slack || now.files > before.files+slack {
			return false, fmt.Errorf("%+v, before the faults %+v", now, before)
		}
		return true, nil
	})
}
