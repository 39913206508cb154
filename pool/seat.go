package pool

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
)

// Bits of an epoch beside its number.
const (
	gone uint64 = 1 << 63 // the job was given up
	over uint64 = 1 << 62 // the slot has ended
)

var errRetired = errors.New("pool: the slot was retired") // cause of a seat's life context after Resize

// status is what a seat does.
type status int32

const (
	opening status = iota // opens what its hooks need, or waits to try again
	idle
	busy
	closing // runs SlotStop
)

// seat is a slot from its first to its last moment; a Slot is a view of it for one job or one round of hooks.
type seat struct {
	id   int
	pool *slots
	log  *slog.Logger

	// life ends when the seat shall leave as soon as it has no job.
	life   context.Context
	retire context.CancelCauseFunc

	epoch   atomic.Uint64 // even between jobs, odd during one: job n has epoch 2n-1
	state   atomic.Int32  // a status
	leaving atomic.Bool   // told to leave; written under pool.mu

	// cells are the values of resources, by *Resource[T]. SlotStart adds them; after that the map is only read.
	cells map[any]interrupter

	// The rest is for the seat's goroutine alone.
	begun     int    // hooks whose SlotStart was called
	open      int    // hooks whose SlotStart succeeded
	tries     int    // failed tries to open in a row
	complaint string // the last error that was logged
}

// interrupter is a cell of whatever type.
type interrupter interface{ interrupt() }

func newSeat(p *slots, id, tries int) *seat {
	s := &seat{id: id, pool: p, log: p.log.With(slog.Int("slot", id)), cells: map[any]interrupter{}, tries: tries}
	s.life, s.retire = context.WithCancelCause(p.awake)
	return s
}

func (s *seat) status() status { return status(s.state.Load()) }

func (s *seat) enter(st status) { s.state.Store(int32(st)) }

// counts returns how many jobs the seat started and how many of them returned.
func (s *seat) counts() (started, done uint64) {
	e := s.epoch.Load() &^ (gone | over)
	return (e + 1) / 2, e / 2
}

// run is the seat's goroutine.
func (s *seat) run() {
	defer s.pool.leave(s)
	defer s.retire(errRetired)
	defer s.shut()
	if s.pool.kind == Threads {
		runtime.LockOSThread() // for good: the thread ends with the slot, so that nothing it left in the thread is met by another
	}
	for s.prepare() {
		job, ok := s.wait()
		if !ok || !s.work(job) {
			return
		}
	}
}

// wait returns the next job, or false when the seat shall leave.
func (s *seat) wait() (Job, bool) {
	s.enter(idle)
	if s.life.Err() != nil {
		return nil, false
	}
	select {
	case job := <-s.pool.jobs: // one that waits is taken at half the cost of waiting for one
		s.enter(busy)
		return job, true
	default:
	}
	select {
	case job := <-s.pool.jobs:
		s.enter(busy)
		return job, true
	case <-s.life.Done():
		return nil, false
	}
}

// work runs one job and its hooks; false when the seat shall leave.
func (s *seat) work(job Job) bool {
	ctx := s.admit()
	s.do(ctx, job, s.epoch.Add(1))
	if !s.finish() {
		return false
	}
	return s.life.Err() == nil && (!s.leaving.Load() || !s.pool.mayLeave(s))
}

// finish ends the job's right to the slot; false when the slot was given up before.
func (s *seat) finish() bool {
	e := s.epoch.Load()
	if e&gone != 0 || !s.epoch.CompareAndSwap(e, e+1) {
		return false
	}
	s.jobDone()
	return true
}

// shut is the end of the seat, on its own goroutine also when the job called runtime.Goexit.
func (s *seat) shut() {
	if e := s.epoch.Load(); e&(gone|1) == 1 {
		s.log.Error("job ended the goroutine of its slot", slog.String("error", "runtime.Goexit was called"))
		s.finish()
	}
	if e := s.epoch.Load(); e&gone != 0 {
		s.epoch.Store(e + 1) // the given-up job has returned
		s.log.Info("given-up job returned")
	}
	s.enter(closing)
	s.slotStop()
}

// do runs the job; a panic ends here.
func (s *seat) do(ctx context.Context, job Job, epoch uint64) {
	defer func() {
		if v := recover(); v != nil {
			s.pool.panics.Add(1)
			s.log.Error("job panicked", panicked(v)...)
		}
	}()
	job(s.context(ctx, epoch))
}
