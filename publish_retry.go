package taskq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// again reports whether a call that failed after so many more tries is tried once more. One that may have been taken is not: that is
// for those to decide who know whether the task may run twice.
func again(s task.Signature, err error, tries int) bool {
	return s.Publish != nil && s.Publish.Allows(tries) &&
		errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUnconfirmed)
}

// tried adds to an error how many tries there were, when there were several.
func tried(err error, more int) error {
	if err == nil || more == 0 {
		return err
	}
	return fmt.Errorf("%w (after %d tries)", err, more+1)
}

// pause waits; it returns ctx's error when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
