package task

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

// Settings are what the options of New make of a task.
type Settings struct {
	// Call holds the defaults of each call.
	Call CallOptions
	// AckEarly acknowledges the delivery when a slot takes it, before it runs.
	AckEarly bool
	// RejectOnFailure sends failed deliveries to the queue's dead letters (Celery's acks_on_failure=False).
	RejectOnFailure bool
	// TrackStarted stores the state STARTED when the task begins.
	TrackStarted bool
	// Retry is nil when only RetryAfter retries.
	Retry *RetryPolicy
	// Throttle, Capacity and Unique say when the task may not start, or not be sent; nil: nothing keeps it. See RateLimit, MaxConcurrent
	// and the option Unique.
	Throttle *Throttle
	Capacity *Capacity
	Unique   *Uniqueness
	// Hooks are the slot resources that the task needs.
	Hooks []pool.Hook
	// Middleware wraps the task's handler, the first one outermost.
	Middleware []Middleware
	// Batch says how calls are collected, of a task that NewBatch made; nil for all others.
	Batch *BatchPolicy
	Doc   string
}

// AckEarly acknowledges the delivery when a slot takes it: the task runs at most once, and is lost when the worker dies
// (Celery's task_acks_late=False).
func AckEarly() Option { return taskOption(func(s *Settings) { s.AckEarly = true }) }

// RejectOnFailure sends the message of a failed task to the queue's dead letters; the outcome is stored all the same.
func RejectOnFailure() Option { return taskOption(func(s *Settings) { s.RejectOnFailure = true }) }

// TrackStarted stores the state STARTED, with the worker's pid and hostname, when the task begins (Celery's track_started).
func TrackStarted() Option { return taskOption(func(s *Settings) { s.TrackStarted = true }) }

// Retry runs the task again after a failure, as the policy says (Celery's autoretry_for). It also sets the limits for RetryAfter.
func Retry(p RetryPolicy) Option { return taskOption(func(s *Settings) { s.Retry = &p }) }

// Needs makes every slot of a worker that runs this task own the resources.
func Needs(hooks ...pool.Hook) Option {
	return taskOption(func(s *Settings) { s.Hooks = append(slices.Clone(s.Hooks), hooks...) })
}

// With wraps the task's handler in middleware, the first one outermost.
func With(middleware ...Middleware) Option {
	return taskOption(func(s *Settings) { s.Middleware = append(slices.Clone(s.Middleware), middleware...) })
}

// Doc is one line for `taskq tasks`.
func Doc(text string) Option { return taskOption(func(s *Settings) { s.Doc = text }) }

// RetryPolicy says when a failed task runs again. The zero value is Celery's: three more times, three minutes apart, for any error.
type RetryPolicy struct {
	// Max is how many times the task runs again; 0 means 3, negative means without limit.
	Max int
	// Delay before each try when Backoff is 0; 0 means 180 s.
	Delay time.Duration
	// Backoff doubles the delay with each try, starting at this one (Celery's retry_backoff).
	Backoff time.Duration
	// BackoffMax caps the doubling; 0 means 600 s.
	BackoffMax time.Duration
	// NoJitter keeps the exponential delay as it is; else it is drawn evenly from 0 to the delay (Celery's retry_jitter).
	NoJitter bool
	// If says which errors to retry; nil means all.
	If func(error) bool
}

// Allows reports whether a task that was retried so many times may be retried again.
func (p RetryPolicy) Allows(retries int) bool {
	limit := p.Max
	if limit == 0 {
		limit = 3
	}
	return limit < 0 || retries < limit
}

// Wait returns the delay before the next try of a task that was retried so many times (celery/utils/time.py,
// get_exponential_backoff_interval).
func (p RetryPolicy) Wait(retries int) time.Duration {
	if p.Backoff <= 0 {
		if p.Delay > 0 {
			return p.Delay
		}
		return 180 * time.Second
	}
	limit := p.BackoffMax
	if limit <= 0 {
		limit = 600 * time.Second
	}
	wait := limit
	if retries < 40 && p.Backoff < limit>>retries {
		wait = p.Backoff << retries
	}
	if p.NoJitter {
		return wait
	}
	return rand.N(wait + 1)
}
