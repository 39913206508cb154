package redis

import (
	"context"
	"iter"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// Wait implements task.Results. A server that goes away and comes back, or comes later, does not end it.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	look, leave := b.attend(id)
	defer leave()
	return b.waiters.Wait(ctx, id, look)
}

// Watch implements task.Results. A server that goes away and comes back, or comes later, does not end it.
func (b *Backend) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	look, leave := b.attend(id)
	defer leave()
	return b.waiters.Watch(ctx, id, look, yield)
}

// attend returns a look that only asks the listener for the states of a task, the present one included, and what ends that.
func (b *Backend) attend(id string) (look func() (task.Meta, error), leave func()) {
	end := func() {}
	look = func() (task.Meta, error) {
		end = b.listener.want(id)
		return task.Meta{ID: id, State: task.Pending}, nil
	}
	return look, func() { end() }
}

// chunks cuts a list into parts of which one command may name all.
func chunks(list []string) iter.Seq[[]string] { return slices.Chunk(list, chunk) }
