package worker

import (
	"context"
	"os"
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// updates are the states of a task that are being stored before its outcome.
type updates struct {
	mu    sync.Mutex // guards over, and under against its end
	over  bool
	under sync.WaitGroup
}

func (u *updates) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.over {
		u.under.Add(1)
	}
	return !u.over
}

// end lets no more states be stored, and waits for those that are on their way.
func (u *updates) end() {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	u.under.Wait()
}

// update stores a state of the task before its outcome; it is the task.Update of its handler. It tries once: a store that is away
// must not hold up the task.
func (e *execution) update(ctx context.Context, state task.State, value any) error {
	encoded, err := e.w.outcomes.Marshal(value)
	if err != nil {
		return err
	}
	if e.claimed.Load() || !e.updates.begin() {
		return task.ErrEnded
	}
	defer e.updates.under.Done()
	if e.w.cfg.Results == nil {
		return nil
	}
	m := e.known(state)
	m.Result = encoded
	ctx, cancel := context.WithTimeout(ctx, updateWait)
	defer cancel()
	return e.w.cfg.Results.Store(ctx, m)
}

// showStarted stores STARTED, where that is asked for (celery/app/trace.py). Celery waits for its store here; this task runs all the
// same.
func (e *execution) showStarted(ctx context.Context) {
	if !e.w.cfg.TrackStarted && !e.spec.TrackStarted || e.req.IgnoreResult {
		return
	}
	where := struct {
		PID      int    `json:"pid"`
		Hostname string `json:"hostname"`
	}{os.Getpid(), e.w.cfg.Hostname}
	if err := e.update(ctx, task.Started, where); err != nil {
		e.w.log.WarnContext(ctx, "state could not be stored", "state", string(task.Started), "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
	}
}
