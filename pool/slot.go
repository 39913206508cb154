package pool

import "context"

// Slot is one place where jobs run, one at a time, as one job or hook sees it: it is valid for that job (or round of hooks) only.
type Slot struct{}

// SlotFrom returns the slot of the job that ctx comes from, nil when it comes from none.
func SlotFrom(ctx context.Context) *Slot { return nil }

// ID is the number of the slot, from 1; a slot that replaces another has a new one.
func (s *Slot) ID() int { return 0 }

// Job is the number of the job on this slot, from 1; 0 when s was not given to a job.
func (s *Slot) Job() uint64 { return 0 }

// Abandon gives the slot up, because its job does not return (Go cannot end a goroutine from outside): it is counted as stuck, its
// resources are refused to the job from now on, and a new slot takes its place unless Config.MaxStuck are stuck already. When the
// job returns at last, its goroutine runs SlotStop and ends. Abandon reports false when that job has already ended or was given up.
func (s *Slot) Abandon() bool { return false }
