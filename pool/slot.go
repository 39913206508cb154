package pool

// Slot is one place where jobs run, one at a time.
type Slot struct{}
