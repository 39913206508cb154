package pool

import "log/slog"

// Resize implements Pool.
func (p *slots) Resize(n int) error {
	if err := checkSize(p.kind, n); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return ErrStopped
	}
	p.size = n
	p.shrink()
	p.fill(0)
	return nil
}

// allowed is how many seats there shall be: the size, less the stuck ones beyond the cap. The caller holds mu.
func (p *slots) allowed() int {
	return max(p.size-max(len(p.stuck)-p.cfg.MaxStuck, 0), 0)
}

// staying counts the seats that are not on their way out. The caller holds mu.
func (p *slots) staying() int {
	n := 0
	for s := range p.seats {
		if !s.leaving.Load() {
			n++
		}
	}
	return n
}

// fill starts the seats that are missing; each waits as after so many failed tries. The caller holds mu.
func (p *slots) fill(tries int) {
	if p.stopped {
		return
	}
	missing := p.allowed() - p.staying()
	for s := range p.seats { // rather keep a busy slot that was told to leave than open its resources once more
		if missing > 0 && s.leaving.Load() && s.life.Err() == nil {
			s.leaving.Store(false)
			missing--
		}
	}
	eager := max(missing, 0)
	if p.kind == Goroutines {
		eager = min(eager, max(eagerSlots-p.staying(), 0))
	}
	for range eager {
		p.spawn(tries)
	}
	p.unstarted.Store(int64(max(missing, 0) - eager))
}

// spawn starts one seat; its goroutine reports to leave when it ends, for which Stop waits. The caller holds mu.
func (p *slots) spawn(tries int) {
	p.lastID++
	s := newSeat(p, p.lastID, tries)
	p.seats[s] = struct{}{}
	go s.run()
}

// shrink tells seats to leave until no more than allowed stay: those that cannot work, then idle ones, then busy ones.
// The caller holds mu.
func (p *slots) shrink() {
	excess := p.staying() - p.allowed()
	for _, what := range []status{opening, idle, busy} {
		for s := range p.seats {
			if excess <= 0 {
				return
			}
			if s.leaving.Load() || s.status() != what {
				continue
			}
			s.leaving.Store(true)
			if what != busy { // a busy seat sees leaving after its job, and may be kept until then
				s.retire(errRetired)
			}
			excess--
		}
	}
}

// mayLeave reports whether a seat that was told to leave shall still do so, and makes it final.
func (p *slots) mayLeave(s *seat) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.leaving.Load() {
		s.retire(errRetired)
	}
	return s.life.Err() != nil
}

// leave is the last act of a seat's goroutine.
func (p *slots) leave(s *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seats, s)
	delete(p.stuck, s)
	started, done := s.counts()
	p.started += started
	p.done += done
	p.fill(s.tries) // a slot that ended by itself is replaced
	p.signalDrained()
}

// abandon moves the seat of a job that did not end in time to the stuck ones. It reports false when the job has ended.
func (p *slots) abandon(s *seat, epoch uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.epoch.CompareAndSwap(epoch, epoch|gone) {
		return false
	}
	delete(p.seats, s)
	p.stuck[s] = struct{}{}
	p.fill(0)
	p.signalDrained()
	if len(p.stuck) > p.cfg.MaxStuck {
		p.log.Error("slot given up and not replaced", slog.Int("slot", s.id), slog.Int("stuck", len(p.stuck)),
			slog.Int("slots", p.allowed()))
		return true
	}
	p.log.Warn("slot given up and replaced", slog.Int("slot", s.id), slog.Int("stuck", len(p.stuck)))
	return true
}
