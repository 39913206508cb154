package pool

import "context"

// Slot is one place where jobs run, one at a time, as one job or one round of hooks sees it. Kept longer than that, it owns nothing.
type Slot struct {
	seat  *seat
	epoch uint64
}

// slotContext is a context with a slot: one allocation, and no lookup through a chain of values.
type slotContext struct {
	context.Context
	slot Slot
}

type slotKey struct{}

// Value implements context.Context.
func (c *slotContext) Value(key any) any {
	if _, ok := key.(slotKey); ok {
		return &c.slot
	}
	return c.Context.Value(key)
}

func (s *seat) context(parent context.Context, epoch uint64) context.Context {
	return &slotContext{Context: parent, slot: Slot{seat: s, epoch: epoch}}
}

// SlotFrom returns the slot of the job or hook that ctx comes from; nil when it comes from none.
func SlotFrom(ctx context.Context) *Slot {
	s, _ := ctx.Value(slotKey{}).(*Slot)
	return s
}

// ID is the number of the slot, from 1; a slot that replaces another has a new one.
func (s *Slot) ID() int { return s.seat.id }

// Job is the number of the job on this slot, from 1; 0 when s was given to a hook.
func (s *Slot) Job() uint64 {
	if !s.inJob() {
		return 0
	}
	return jobNumber(s.epoch)
}

// Abandon gives the slot up, because its job does not return (Go cannot end a goroutine from outside): it is counted as stuck, its
// resources are interrupted and refused to the job from now on, and a new slot takes its place unless Config.MaxStuck are stuck
// already. When the job returns at last, its goroutine runs SlotStop and ends. Abandon reports false, and does nothing, when that
// job has ended or was given up before. It is safe for concurrent use.
func (s *Slot) Abandon() bool {
	if !s.inJob() || !s.seat.pool.abandon(s.seat, s.epoch) {
		return false
	}
	for _, c := range s.seat.cells {
		c.interrupt()
	}
	return true
}

func (s *Slot) inJob() bool { return s.epoch&(gone|1) == 1 }

// valid reports whether the job or round of hooks that got s still goes on.
func (s *Slot) valid() bool { return s.seat.epoch.Load() == s.epoch }

// jobNumber is the job that has this epoch, or the last one before it.
func jobNumber(epoch uint64) uint64 { return ((epoch &^ (gone | over)) + 1) / 2 }
