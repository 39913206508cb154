package task

import "context"

// Run is what the context of a handler carries: the request, and where what the handler sends and says of itself goes. A worker makes one
// for each run of a handler.
type Run struct {
	Request *Request
	Trail   *Trail
	Update  Update
	Joining Joining // nil: the task is in no chord
}

// WithRun is WithRequest, WithTrail, WithUpdates and WithJoining at once, at the cost of one of them.
func WithRun(ctx context.Context, r *Run) context.Context { return runContext{ctx, r} }

// runContext answers for all keys of a run.
type runContext struct {
	context.Context
	run *Run
}

// Value implements context.Context.
func (c runContext) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return c.run.Request
	case trailKey:
		return c.run.Trail
	case updateKey:
		return c.run.Update
	case joiningKey:
		if c.run.Joining != nil {
			return c.run.Joining
		}
	}
	return c.Context.Value(key)
}
