package task

import (
	"context"
	"errors"
	"fmt"
)

// Revocation says how tasks are revoked.
type Revocation struct {
	// Terminate ends the tasks, too, when they run already.
	Terminate bool
	// Signal is what a Python worker's process gets then, by name; "" means SIGTERM. See Terminate for what a worker of this module
	// does.
	Signal string
	// Destination are the node names of the workers that are told; none means all.
	Destination []string
}

// NewRevocation returns what the options say. It refuses a signal that does not exist.
func NewRevocation(opts ...RevokeOption) (Revocation, error) {
	var how Revocation
	for _, o := range opts {
		o(&how)
	}
	_, err := how.SignalNumber()
	return how, err
}

// A RevokeOption sets how a task is revoked.
type RevokeOption func(*Revocation)

// Terminate ends the task even when it runs already. A worker of this module cancels its context, with the cause ErrRevoked; with
// SIGKILL it also gives up the slot of a task that goes on all the same. A Python worker sends its process the signal. "" means
// SIGTERM.
func Terminate(signal string) RevokeOption {
	return func(r *Revocation) { r.Terminate, r.Signal = true, signal }
}

// RevokeAt tells only the workers of these node names.
func RevokeAt(nodes ...string) RevokeOption {
	return func(r *Revocation) { r.Destination = append(r.Destination, nodes...) }
}

// Revoke tells all workers not to run the task (celery/app/control.py, revoke); of a group, all its members. The Parents are revoked, too,
// the steps before in a chain, the header of a chord, those that are not sent yet as well: what is revoked is the workflow up to here,
// where Celery stops its last step alone. Workers hear it when they are connected now, remember it for three hours, and tell those that
// start later. The outcome is then REVOKED: Get returns a *RemoteError that matches ErrRevoked. Revoke returns once the broker has the
// message; whether a worker obeys is not known.
func (r *Result[R]) Revoke(ctx context.Context, opts ...RevokeOption) error {
	how, err := NewRevocation(opts...)
	if err != nil {
		return r.failed("revoke", err)
	}
	revoker, ok := r.results.(Revoker)
	if !ok {
		return r.failed("revoke", fmt.Errorf("%w: get the result from an application", errors.ErrUnsupported))
	}
	if err := revoker.Revoke(ctx, r.ref.AllTasks(), how); err != nil {
		return r.failed("revoke", err)
	}
	return nil
}
