package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// The keys of a chord, behind that of its group: the outcomes (a sorted set), how many tasks the header has, and how many were added
// to it later by tasks of its own (celery/backends/redis.py).
const (
	chordParts = ".j"
	chordSize  = ".s"
	chordAdded = ".t"
)

// OpenChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) OpenChord(ctx context.Context, header task.Ref) error {
	if slices.ContainsFunc(header.Members, func(r task.Ref) bool { return r.Group }) {
		if err := b.SaveGroup(ctx, header); err != nil {
			return err
		}
	}
	if err := b.set(ctx, b.groupKey(header.ID)+chordSize, strconv.Itoa(len(header.Tasks()))); err != nil {
		return fmt.Errorf("redis: size of chord %s: %w", header.ID, err)
	}
	return nil
}

// JoinChord implements result.Joiner. While the server is away it waits until ctx ends. A task that is noted twice counts once, unless
// its outcome has changed.
func (b *Backend) JoinChord(ctx context.Context, part result.ChordPart) (*result.Joined, error) {
	parts, complete, err := b.joinChord(ctx, part)
	if err != nil {
		return nil, fmt.Errorf("redis: chord %s: %w", part.GroupID, err)
	}
	if !complete {
		return nil, nil //nolint:nilnil // not yet
	}
	return &result.Joined{Parts: parts}, nil
}

func (b *Backend) joinChord(ctx context.Context, part result.ChordPart) ([]task.Meta, bool, error) {
	if part.GroupID == "" || part.ID == "" {
		return nil, false, fmt.Errorf("%w: a part needs the ids of its group and its task", broker.ErrInvalid)
	}
	member, err := encodePart(part.Meta)
	if err != nil {
		return nil, false, err
	}
	score := "+inf"
	if part.Index >= 0 {
		score = strconv.Itoa(part.Index)
	}
	key := b.groupKey(part.GroupID)
	commands := [][]string{
		{"ZADD", key + chordParts, score, member},
		{"ZCOUNT", key + chordParts, "-inf", "+inf"},
		{"GET", key + chordAdded},
		{"GET", key + chordSize},
	}
	if b.expires > 0 {
		for _, suffix := range []string{chordParts, chordAdded, chordSize} {
			commands = append(commands, []string{"EXPIRE", key + suffix, strconv.FormatInt(b.expires, 10)})
		}
	}
	answers, err := b.transact(ctx, commands...)
	if err != nil {
		return nil, false, err
	}
	if complete, err := isComplete(answers); err != nil || !complete {
		return nil, false, err
	}
	parts, err := b.chordParts(ctx, key)
	return parts, err == nil, err
}

// isComplete compares the count of parts with the size, which is not known before the whole header is on its way.
func isComplete(answers []rueidis.RedisMessage) (bool, error) {
	if len(answers) < 4 {
		return false, fmt.Errorf("%d answers to a transaction", len(answers))
	}
	count, err := answers[1].AsInt64()
	if err != nil {
		return false, err
	}
	added, err := answers[2].AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return false, fmt.Errorf("tasks added: %w", err)
	}
	size, err := answers[3].AsInt64()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("size: %w", err)
	}
	return count == size+added, nil
}

func (b *Backend) chordParts(ctx context.Context, key string) ([]task.Meta, error) {
	answers, err := b.transact(ctx, []string{"ZRANGE", key + chordParts, "0", "-1"})
	if err != nil {
		return nil, err
	}
	members, err := answers[0].AsStrSlice()
	if err != nil {
		return nil, err
	}
	parts := make([]task.Meta, len(members))
	for i, member := range members {
		if parts[i], err = decodePart(member); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// GrowChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) GrowChord(ctx context.Context, group string, ids ...string) error {
	if _, err := b.transact(ctx, []string{"INCRBY", b.groupKey(group) + chordAdded, strconv.Itoa(len(ids))}); err != nil {
		return fmt.Errorf("redis: add to chord %s: %w", group, err)
	}
	return nil
}

// ClaimBody implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) ClaimBody(ctx context.Context, id, claim string) (bool, error) {
	key := b.taskKey(id) + ".claim"
	answers, err := b.transact(ctx, []string{"SETNX", key, claim}, []string{"GET", key})
	if err != nil {
		return false, fmt.Errorf("redis: claim the body %s: %w", id, err)
	}
	got, err := answers[1].ToString()
	return got == claim, err
}

// ForgetChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) ForgetChord(ctx context.Context, group string) error {
	key := b.groupKey(group)
	_, err := b.transact(ctx, []string{"DEL", key + chordParts}, []string{"DEL", key + chordAdded}, []string{"DEL", key + chordSize})
	if err != nil {
		return fmt.Errorf("redis: forget chord %s: %w", group, err)
	}
	return nil
}

// encodePart writes [1, id, state, result] with Python's spaces: a part that a worker of the other language has noted before is then
// the same member of the set, if its result has no spaces in it.
func encodePart(m task.Meta) (string, error) {
	id, err := codec.JSON{}.Marshal(m.ID)
	if err != nil {
		return "", err
	}
	state, err := codec.JSON{}.Marshal(string(m.State))
	if err != nil {
		return "", err
	}
	value := m.Result
	if len(value) == 0 {
		value = codec.Raw("null")
	}
	return fmt.Sprintf("[1, %s, %s, %s]", id, state, value), nil
}

func decodePart(member string) (task.Meta, error) {
	var fields []codec.Raw
	if err := (codec.JSON{}).Unmarshal([]byte(member), &fields); err != nil {
		return task.Meta{}, fmt.Errorf("a part cannot be read: %w", err)
	}
	if len(fields) != 4 {
		return task.Meta{}, fmt.Errorf("a part has %d fields, not 4", len(fields))
	}
	m := task.Meta{Codec: codec.JSON{}, Result: fields[3]}
	var state string
	if err := (codec.JSON{}).Unmarshal(fields[1], &m.ID); err != nil {
		return task.Meta{}, fmt.Errorf("id of a part: %w", err)
	}
	if err := (codec.JSON{}).Unmarshal(fields[2], &state); err != nil {
		return task.Meta{}, fmt.Errorf("state of part %s: %w", m.ID, err)
	}
	m.State = task.State(state)
	return m, nil
}
