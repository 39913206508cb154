package worker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// TaskOptions are limits of a task in place of those in its code. What is left empty stays as it is there.
type TaskOptions struct {
	// RateLimit in Celery's words; "0" is none.
	RateLimit string
	// TimeLimit and SoftTimeLimit hold for calls that bring none of their own.
	TimeLimit, SoftTimeLimit time.Duration
}

// validate refuses what makes no sense.
func (o TaskOptions) validate() error {
	_, err := task.ParseRate(o.RateLimit)
	switch {
	case err != nil:
		return err
	case o.TimeLimit < 0 || o.SoftTimeLimit < 0:
		return errors.New("a time limit is negative")
	case o.TimeLimit > 0 && o.SoftTimeLimit > o.TimeLimit:
		return fmt.Errorf("the soft time limit %s is above the hard one, %s", o.SoftTimeLimit, o.TimeLimit)
	}
	return nil
}

// overrides are what was changed of tasks, by the operator and while the worker runs.
type overrides struct {
	mu    sync.Mutex // guards the fields below
	tasks map[*task.Spec]override
}

type override struct {
	rate   *task.Rate // nil: the task's own
	limits *timeLimits
}

type timeLimits struct{ soft, hard time.Duration }

// SetRateLimit changes how often a task may start in this worker, in Celery's words; "" and "0" are no limit. What the task's own rate
// limit counts together, and where, stays; with a cluster-wide one each worker must be told. It returns an error that wraps
// task.ErrNotRegistered for a task that this worker does not have, and a *task.RateError.
func (w *Worker) SetRateLimit(name, rate string) error {
	parsed, err := task.ParseRate(rate)
	if err != nil {
		return fmt.Errorf("worker: rate limit of %s: %w", name, err)
	}
	return w.override(name, func(o *override) { o.rate = &parsed })
}

// SetTimeLimits changes the time limits of a task in this worker, for calls that bring none of their own and start from now on; 0 is what
// the worker's options say. It returns an error that wraps task.ErrNotRegistered for a task that this worker does not have.
func (w *Worker) SetTimeLimits(name string, soft, hard time.Duration) error {
	switch {
	case soft < 0 || hard < 0:
		return fmt.Errorf("worker: time limits of %s: a time limit is negative", name)
	case hard > 0 && soft > hard:
		return fmt.Errorf("worker: time limits of %s: the soft one, %s, is above the hard one, %s", name, soft, hard)
	}
	return w.override(name, func(o *override) { o.limits = &timeLimits{soft, hard} })
}

// overrideAll takes what the operator has said of tasks. A configuration may be that of several programs: tasks that this one does not have
// are named and no error.
func (w *Worker) overrideAll() {
	all := w.cfg.Registry.All()
	for name := range w.cfg.Tasks { // what "*" says is for the program's own
		if spec := w.builtin[name]; spec != nil && spec == w.taskOf(name) {
			all = append(all, spec)
		}
	}
	for _, spec := range all {
		o, named := w.cfg.Tasks[spec.Name]
		if !named {
			o = w.cfg.Tasks["*"]
		}
		if spec.Handler == nil || o == (TaskOptions{}) {
			continue
		}
		_ = w.override(spec.Name, func(own *override) { // it is registered
			if o.RateLimit != "" {
				rate, _ := task.ParseRate(o.RateLimit) // it was validated
				own.rate = &rate
			}
			if o.TimeLimit > 0 || o.SoftTimeLimit > 0 {
				own.limits = &timeLimits{firstSet(o.SoftTimeLimit, spec.Call.SoftTimeLimit), firstSet(o.TimeLimit, spec.Call.TimeLimit)}
			}
		})
	}
	for name := range w.cfg.Tasks {
		if name != "*" && w.taskOf(name) == nil {
			w.log.Warn("the configuration has settings of a task that this worker does not have", "task", name)
		}
	}
}

func (w *Worker) override(name string, change func(*override)) error {
	spec := w.taskOf(name)
	if !runnable(spec) {
		return &notRegisteredError{name}
	}
	w.overrides.mu.Lock()
	defer w.overrides.mu.Unlock()
	if w.overrides.tasks == nil {
		w.overrides.tasks = map[*task.Spec]override{}
	}
	o := w.overrides.tasks[spec]
	change(&o)
	w.overrides.tasks[spec] = o
	return nil
}

func (w *Worker) overrideOf(spec *task.Spec) override {
	w.overrides.mu.Lock()
	defer w.overrides.mu.Unlock()
	return w.overrides.tasks[spec]
}

// throttle is the rate limit of a task as it is now, nil when it has none.
func (w *Worker) throttle(spec *task.Spec) *task.Throttle {
	t := spec.Throttle
	if rate := w.overrideOf(spec).rate; rate != nil {
		changed := task.Throttle{Rate: *rate}
		if t != nil {
			changed.Scope = t.Scope
		}
		t = &changed
	}
	if t == nil || t.Rate <= 0 || w.cfg.DisableRateLimits {
		return nil
	}
	return t
}

// timeLimits are those of a task as they are now, without what a call brings.
func (w *Worker) timeLimits(spec *task.Spec) (soft, hard time.Duration) {
	if changed := w.overrideOf(spec).limits; changed != nil {
		return firstSet(changed.soft, w.cfg.SoftTimeLimit), firstSet(changed.hard, w.cfg.TimeLimit)
	}
	return firstSet(spec.Call.SoftTimeLimit, w.cfg.SoftTimeLimit), firstSet(spec.Call.TimeLimit, w.cfg.TimeLimit)
}

var errNoTask = errors.New("unknown task")
