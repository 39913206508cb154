package task

import (
	"fmt"
	"slices"
	"time"
)

// Scope is who counts together: what a LimitOption changes of a limit.
type Scope struct {
	// Key tells calls apart that are counted apart; the zero value counts all calls of the task together.
	Key Key
	// ClusterWide counts over all workers, in the limit store; without it each worker counts for itself.
	ClusterWide bool
	// Burst is how many turns may be taken at once after a time without, of a rate limit; 0 means 1, as in Celery.
	Burst int
	// TTL is how long a place stays taken after its worker has died, of MaxConcurrent with ClusterWide; 0 means a minute.
	TTL time.Duration
}

// A LimitOption sets what RateLimit or MaxConcurrent counts, and where. A Key is one.
type LimitOption interface{ applyLimit(*Scope) }

type limitOption func(*Scope)

func (f limitOption) applyLimit(s *Scope) { f(s) }

// ClusterWide counts over all workers. It needs a limit store (limit_store).
func ClusterWide() LimitOption { return limitOption(func(s *Scope) { s.ClusterWide = true }) }

// Burst lets n calls start at once after a time in which fewer did than might have, of a rate limit.
func Burst(n int) LimitOption { return limitOption(func(s *Scope) { s.Burst = n }) }

// FreeAfter is how long a place stays taken after its worker has died, with MaxConcurrent and ClusterWide. While the task runs its worker
// says so three times as often; a worker that cannot say so for that long has lost the place.
func FreeAfter(d time.Duration) LimitOption { return limitOption(func(s *Scope) { s.TTL = d }) }

// Throttle is what RateLimit makes of a task.
type Throttle struct {
	Rate Rate
	Scope
}

// Capacity is what MaxConcurrent makes of a task.
type Capacity struct {
	Places int
	Scope
}

// Uniqueness is what Unique makes of a task.
type Uniqueness struct {
	Key  Key // the zero value: all arguments
	TTL  time.Duration
	Mode UniqueMode
}

// UniqueMode says when two calls of one key are one too many.
type UniqueMode uint8

// The modes of Unique.
const (
	// Queued: while a call waits, another one is not sent. The key is free again once the task starts.
	Queued UniqueMode = 1 << iota
	// Running: while a call runs, another one waits its turn.
	Running
	// Both: from when it is sent until it has ended, with its retries, another one is not sent.
	Both = Queued | Running
)

// RateLimit lets the task start so often and no more, in Celery's words: "10/s", "100/m", "2/h", or a number for as many a second; ""
// and "0" are no limit. Each worker counts for itself, as in Celery, unless ClusterWide is given. It panics when it cannot read the rate.
//
// What is over the limit goes back to the broker until its turn: neither a slot nor the prefetch is taken by what waits.
func RateLimit(rate string, opts ...LimitOption) Option {
	parsed, err := ParseRate(rate)
	if err != nil {
		panic(err.Error())
	}
	t := Throttle{Rate: parsed, Scope: scope(opts)}
	return taskOption(func(s *Settings) { s.Throttle = &t })
}

// MaxConcurrent lets at most n calls of the task run at once, in each worker or, with ClusterWide, in all of them together. The others
// wait in the broker.
func MaxConcurrent(n int, opts ...LimitOption) Option {
	if n < 1 {
		panic(fmt.Sprintf("task: MaxConcurrent(%d): at least one call must be able to run", n))
	}
	c := Capacity{Places: n, Scope: scope(opts)}
	if c.TTL == 0 {
		c.TTL = time.Minute
	}
	return taskOption(func(s *Settings) { s.Capacity = &c })
}

// Unique lets only one call of a key wait, run, or both, over all workers and senders: it needs a limit store (limit_store). A call that
// is one too many is not sent: Send returns a *DuplicateError. Those that come without having asked, from Python say, end as REVOKED.
//
// The key is free again when the task has started, or ended, and after ttl in any case: choose one that is longer than a call ever waits.
// While the task runs, ttl starts anew. Only the call that holds the key gives it back.
func Unique(key Key, ttl time.Duration, mode UniqueMode) Option {
	switch {
	case ttl <= 0:
		panic(fmt.Sprintf("task: Unique: the time to live %s is none: it is what frees the key when its owner dies", ttl))
	case mode != Queued && mode != Running && mode != Both:
		panic(fmt.Sprintf("task: Unique: unknown mode %d: use Queued, Running or Both", mode))
	}
	if key.kind == perTask && !key.explicit {
		key = AllArguments()
	}
	u := Uniqueness{Key: key, TTL: ttl, Mode: mode}
	return taskOption(func(s *Settings) { s.Unique = &u })
}

func scope(opts []LimitOption) (s Scope) {
	for _, o := range opts {
		o.applyLimit(&s)
	}
	switch {
	case s.Burst < 0:
		panic(fmt.Sprintf("task: Burst(%d) is negative", s.Burst))
	case s.TTL < 0:
		panic(fmt.Sprintf("task: FreeAfter(%s) is negative", s.TTL))
	}
	return s
}

// NeedsLimitStore says which option of the task counts over several processes; "" when none does.
func (s *Settings) NeedsLimitStore() string {
	switch {
	case s.Unique != nil:
		return "Unique"
	case s.Capacity != nil && s.Capacity.ClusterWide:
		return "MaxConcurrent with ClusterWide"
	case s.Throttle != nil && s.Throttle.ClusterWide:
		return "RateLimit with ClusterWide"
	}
	return ""
}

// checkLimits refuses keys of arguments that the task does not have.
func (s *Spec) checkLimits() error {
	var keys []Key
	if s.Throttle != nil {
		keys = append(keys, s.Throttle.Key)
	}
	if s.Capacity != nil {
		keys = append(keys, s.Capacity.Key)
	}
	if s.Unique != nil {
		keys = append(keys, s.Unique.Key)
	}
	for _, k := range keys {
		for _, name := range k.names {
			if !s.isRaw() && !slices.ContainsFunc(s.Params, func(p Param) bool { return p.Name == name }) {
				return fmt.Errorf("PerArgument(%q): the task has no such parameter", name)
			}
		}
	}
	return nil
}
