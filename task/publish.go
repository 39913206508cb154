package task

import (
	"errors"
	"time"
)

// PublishPolicy says how often a call is tried while the broker is away or takes no messages, and how long the pauses are. The zero
// value is Celery's task_publish_retry_policy: three more tries, at once, after 0.2 s and after 0.4 s.
type PublishPolicy struct {
	// Max is how many more tries there are; 0 means 3, negative means as many as the context has time for.
	Max int
	// Start is the pause before the first of them (Celery's interval_start).
	Start time.Duration
	// Step is what each pause is longer than the one before (interval_step); 0 means 0.2 s.
	Step time.Duration
	// Limit is what the steps add up to at the most (interval_max); 0 means 1 s.
	Limit time.Duration
}

// Allows reports whether a call that was tried again so many times may be tried once more.
func (p PublishPolicy) Allows(retries int) bool {
	limit := p.Max
	if limit == 0 {
		limit = 3
	}
	return limit < 0 || retries < limit
}

// Wait returns the pause before the next try of a call that was tried again so many times.
func (p PublishPolicy) Wait(retries int) time.Duration {
	step, limit := p.Step, p.Limit
	if step == 0 {
		step = 200 * time.Millisecond
	}
	if limit == 0 {
		limit = time.Second
	}
	if time.Duration(retries) > limit/step {
		return p.Start + limit
	}
	return p.Start + time.Duration(retries)*step
}

func (p PublishPolicy) validate() error {
	if p.Start < 0 || p.Step < 0 || p.Limit < 0 {
		return errors.New("negative pause in the publish policy")
	}
	return nil
}
