package pool

import (
	"context"
	"fmt"
)

// Stop implements Pool.
func (p *slots) Stop(ctx context.Context) error {
	p.halt()
	select {
	case <-p.drained: // looked at first: nothing is left, whatever ctx says
	default:
		select {
		case <-p.drained:
		case <-ctx.Done():
			p.cancel(fmt.Errorf("%w: %w", ErrStopped, context.Cause(ctx)))
			return p.left(context.Cause(ctx))
		}
	}
	p.cancel(ErrStopped) // stuck jobs may still listen
	return p.left(nil)
}

// halt takes no more jobs and tells all seats to leave.
func (p *slots) halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	p.unstarted.Store(0)
	close(p.stopping)
	p.halted(ErrStopped)
	p.signalDrained()
}

// signalDrained closes drained once. The caller holds mu.
func (p *slots) signalDrained() {
	if !p.stopped || len(p.seats) > 0 {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}

// left counts what has not returned, as an error; nil for nothing.
func (p *slots) left(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &LeftError{Stuck: len(p.stuck), Cause: cause}
	for s := range p.seats {
		if s.status() == busy {
			e.Running++
		} else {
			e.Closing++
		}
	}
	if e.Running+e.Closing+e.Stuck == 0 {
		return nil
	}
	return e
}
