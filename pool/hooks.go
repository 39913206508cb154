package pool

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// prepare makes the slot able to take a job, however long that takes; false when it shall leave.
func (s *seat) prepare() bool {
	s.enter(opening)
	if len(s.pool.cfg.Hooks) == 0 && s.tries == 0 {
		return true // wait looks whether the slot shall leave
	}
	return s.persist(s.life, s.openHooks)
}

// admit makes the slot able to run the job that it has taken, and returns the context for it. When the pool is stopped meanwhile the
// job runs all the same: that context is done, which tells it that nothing was started.
func (s *seat) admit() context.Context {
	if len(s.pool.checkers) == 0 {
		return s.pool.base
	}
	if !s.persist(s.pool.awake, s.checkForJob) {
		return s.pool.awake
	}
	return s.pool.base
}

func (s *seat) checkForJob(ctx context.Context) error { return s.check(ctx, Checker.JobReady) }

// persist repeats step until it succeeds, with back-off; false when ctx ends first.
func (s *seat) persist(parent context.Context, step func(context.Context) error) bool {
	ctx := s.context(parent, s.epoch.Load())
	if s.tries > 0 && !pause(ctx, s.pool.cfg.backoff(s.tries)) { // it replaces a slot that ended while it opened
		return false
	}
	for ctx.Err() == nil {
		err := step(ctx)
		if err == nil {
			s.healed()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.tries++
		wait := s.pool.cfg.backoff(s.tries)
		s.complain(err, wait)
		if !pause(ctx, wait) {
			return false
		}
	}
	return false
}

// openHooks starts the hooks that have not been started, then asks the checkers.
func (s *seat) openHooks(ctx context.Context) error {
	for s.open < len(s.pool.cfg.Hooks) {
		s.begun = s.open + 1
		if err := s.protect(func() error { return s.pool.cfg.Hooks[s.open].SlotStart(ctx, SlotFrom(ctx)) }); err != nil {
			return err
		}
		s.open++
	}
	return s.check(ctx, Checker.SlotReady)
}

func (s *seat) check(ctx context.Context, ask func(Checker, context.Context, *Slot) error) error {
	for _, c := range s.pool.checkers {
		if err := s.protect(func() error { return ask(c, ctx, SlotFrom(ctx)) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *seat) jobDone() {
	if len(s.pool.cfg.Hooks) == 0 {
		return
	}
	ctx := s.context(s.pool.root, s.epoch.Load())
	for i := s.open - 1; i >= 0; i-- {
		s.quietly(func() { s.pool.cfg.Hooks[i].JobDone(ctx, SlotFrom(ctx)) })
	}
}

func (s *seat) slotStop() {
	ctx := s.context(s.pool.root, s.epoch.Load())
	for i := s.begun - 1; i >= 0; i-- {
		s.quietly(func() { s.pool.cfg.Hooks[i].SlotStop(ctx, SlotFrom(ctx)) })
	}
	s.epoch.Store(s.epoch.Load() | over) // whoever kept the context of these hooks has nothing left to use
}

// protect turns a panic of a hook into an error.
func (s *seat) protect(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("hook panicked", panicked(v)...)
			err = fmt.Errorf("pool: hook panicked: %v", v)
		}
	}()
	return call()
}

// quietly runs a hook that returns nothing.
func (s *seat) quietly(call func()) {
	_ = s.protect(func() error { call(); return nil }) // a panic has been logged
}

// panicked describes a panic for the log.
func panicked(v any) []any {
	return []any{slog.String("error", fmt.Sprint(v)), slog.String("stack", string(debug.Stack()))}
}

// complain logs an error once, until another one comes or the slot heals.
func (s *seat) complain(err error, wait time.Duration) {
	if s.complaint == err.Error() {
		return
	}
	s.complaint = err.Error()
	s.log.Warn("slot cannot open its resources", slog.String("error", s.complaint), slog.Duration("retry_in", wait))
}

func (s *seat) healed() {
	if s.complaint != "" {
		s.log.Info("slot opened its resources", slog.Int("retries", s.tries))
	}
	s.complaint, s.tries = "", 0
}

// backoff is the wait after so many failed tries: doubled each time, capped, the upper half random.
func (c Config) backoff(tries int) time.Duration {
	d := c.RetryMin
	for i := 1; i < tries && d < c.RetryMax; i++ {
		d *= 2
	}
	d = min(d, c.RetryMax)
	return d/2 + rand.N(d/2+1)
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
