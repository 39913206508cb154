package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// SaveGroup implements result.GroupStore. While the server is away it waits until ctx ends.
func (b *Backend) SaveGroup(ctx context.Context, group task.Ref) error {
	group.Group = true
	doc, err := wire.EncodeGroup(group, nil)
	if err != nil {
		return fmt.Errorf("redis: save group: %w", err)
	}
	if err := b.set(ctx, b.groupKey(group.ID), string(doc)); err != nil {
		return fmt.Errorf("redis: save group %s: %w", group.ID, err)
	}
	return nil
}

// set stores and publishes a value, whatever was there.
func (b *Backend) set(ctx context.Context, key, value string) error {
	write := []string{"SETEX", key, strconv.FormatInt(b.expires, 10), value}
	if b.expires == 0 {
		write = []string{"SET", key, value}
	}
	_, err := b.transact(ctx, write, []string{"PUBLISH", key, value})
	return err
}

// transact runs commands that take effect together, in a transaction, and returns their answers. While the server is away it waits
// until ctx ends: each command must be one that may be sent twice.
func (b *Backend) transact(ctx context.Context, commands ...[]string) (answers []rueidis.RedisMessage, err error) {
	err = b.retry(ctx, func() error {
		batch := rueidis.Commands{b.client.B().Multi().Build()}
		for _, command := range commands {
			batch = append(batch, b.client.B().Arbitrary(command...).Build())
		}
		replies := b.client.DoMulti(ctx, append(batch, b.client.B().Exec().Build())...)
		for _, queued := range replies[:len(replies)-1] { // when one is refused, it says why and EXEC only that it was
			if err := queued.Error(); err != nil {
				return err
			}
		}
		answers, err = replies[len(replies)-1].ToArray()
		return err
	})
	return answers, err
}

// Group implements result.GroupStore. While the server is away it waits until ctx ends.
func (b *Backend) Group(ctx context.Context, id string) (group task.Ref, found bool, err error) {
	doc, err := b.get(ctx, b.groupKey(id))
	if err != nil {
		return task.Ref{}, false, fmt.Errorf("redis: look up group %s: %w", id, err)
	}
	if doc == nil {
		return task.Ref{}, false, nil
	}
	if group, err = wire.DecodeGroup(doc, nil); err != nil {
		return task.Ref{}, false, fmt.Errorf("redis: group %s: %w", id, err)
	}
	return group, true, nil
}

// ForgetGroup implements result.GroupStore. While the server is away it waits until ctx ends.
func (b *Backend) ForgetGroup(ctx context.Context, id string) error {
	if err := b.del(ctx, b.groupKey(id)); err != nil {
		return fmt.Errorf("redis: forget group %s: %w", id, err)
	}
	return nil
}
