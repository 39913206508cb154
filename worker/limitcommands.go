package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
)

// limitCommands are those that change limits of tasks (celery/worker/control.py, rate_limit and time_limit).
func (w *Worker) limitCommands() control.Mux {
	return control.Mux{"rate_limit": w.commandRateLimit, "time_limit": w.commandTimeLimit}
}

func (w *Worker) commandRateLimit(ctx context.Context, call *control.Call) (any, error) {
	var name string
	var value any
	err := errors.Join(call.Need("task_name", "rate_limit"), call.Argument("task_name", &name), call.Argument("rate_limit", &value))
	if err != nil {
		return nil, err
	}
	rate := rateText(value)
	err = w.SetRateLimit(name, rate)
	bad, invalid := errors.AsType[*task.RateError](err)
	switch {
	case invalid:
		return nil, fmt.Errorf("Invalid rate limit string: ValueError(%s)", task.Repr(bad.Reason)) //nolint:staticcheck // Celery's words
	case err != nil:
		w.log.ErrorContext(ctx, "rate limit of an unknown task", "task", name)
		return nil, errNoTask
	}
	if parsed, _ := task.ParseRate(rate); parsed == 0 {
		w.log.InfoContext(ctx, "rate limit was disabled", "task", name)
		return control.OK("rate limit disabled successfully"), nil
	}
	w.log.InfoContext(ctx, "rate limit was changed", "task", name, "rate", rate)
	return control.OK("new rate limit set successfully"), nil
}

// rateText is a rate as text. Celery's callers send a number of times a second as well, and null for none.
func rateText(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func (w *Worker) commandTimeLimit(ctx context.Context, call *control.Call) (any, error) {
	var name string
	var soft, hard float64 // in seconds; null is none
	err := errors.Join(call.Need("task_name"), call.Argument("task_name", &name), call.Argument("soft", &soft), call.Argument("hard", &hard))
	if err != nil {
		return nil, err
	}
	if !(max(soft, hard) < maxSeconds) {
		return nil, fmt.Errorf("time limits of %v and %v seconds: they must be less than %v", soft, hard, maxSeconds)
	}
	err = w.SetTimeLimits(name, inTime(soft), inTime(hard))
	if errors.Is(err, task.ErrNotRegistered) {
		w.log.ErrorContext(ctx, "time limit of an unknown task", "task", name)
		return nil, errNoTask
	}
	if err != nil {
		return nil, err
	}
	w.log.InfoContext(ctx, "time limits were changed", "task", name, "soft", soft, "hard", hard)
	return control.OK("time limits set successfully"), nil
}

// maxSeconds is thirty years, which a time limit can be in nanoseconds.
const maxSeconds = 1e9

func inTime(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
