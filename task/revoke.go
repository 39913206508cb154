package task

import (
	"context"
	"errors"
	"fmt"
)

// Revocation says how tasks are revoked.
type Revocation struct {
	// Terminate ends the task, too, when it runs already.
	Terminate bool
	// Signal is what a Python worker's process gets then; "" means SIGTERM.
	Signal string
}

// A RevokeOption sets how a task is revoked.
type RevokeOption func(*Revocation)

// Terminate ends the task even when it runs already: a Python worker sends its process the signal, "SIGKILL" say; "" means SIGTERM.
func Terminate(signal string) RevokeOption {
	return func(r *Revocation) { r.Terminate, r.Signal = true, signal }
}

// Revoke tells all workers not to run the task (celery/app/control.py, revoke); of a group, all its members. They hear it when they are
// connected now, and remember it for some hours. The outcome is then REVOKED: Get returns a *RemoteError that matches ErrRevoked. Revoke
// returns once the broker has the message; whether a worker obeys is not known. Celery's workers do.
func (r *Result[R]) Revoke(ctx context.Context, opts ...RevokeOption) error {
	var how Revocation
	for _, o := range opts {
		o(&how)
	}
	revoker, ok := r.results.(Revoker)
	if !ok {
		return r.failed("revoke", fmt.Errorf("%w: get the result from an application", errors.ErrUnsupported))
	}
	if err := revoker.Revoke(ctx, r.ref.tasks(), how); err != nil {
		return r.failed("revoke", err)
	}
	return nil
}
