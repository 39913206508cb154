package worker

import (
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// terminate ends the execution of a task that was revoked, from any goroutine: the context of its handler is cancelled, and what the
// handler returns then is judged. With kill nobody waits for that: the task is REVOKED now, and its slot is given up as when a hard
// time limit is exceeded, until the handler returns.
func (e *execution) terminate(kill bool) {
	e.mu.Lock()
	runs, slot := e.cancel != nil, e.slot
	e.doomed = true
	e.mu.Unlock()
	claimed := kill && runs && slot != nil && e.claim()
	e.interrupt(task.ErrRevoked)
	if claimed {
		slot.Abandon()
		e.finish(verdict{state: task.Revoked, err: &revoked{"terminated"}, disposition: broker.Ack})
	}
}

// isDoomed reports whether the execution was terminated before its handler ran; if not, it can be terminated from now on.
func (e *execution) isDoomed(slot *pool.Slot) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slot = slot
	return e.doomed
}

// terminateAll ends executions. It does not wait for them.
func (w *Worker) terminateAll(executions []*execution, signal int) {
	for _, e := range executions {
		w.loops.Go(func() { e.terminate(signal == sigKill) })
	}
}

// sigKill is the number of SIGKILL.
const sigKill = 9
