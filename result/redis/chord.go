package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/chord"
	"github.com/seed-399731e2/taskq/task"
)

// The keys of a chord, behind that of its group: the outcomes (a sorted set), how many tasks the header has, and how many were added
// to it later by tasks of its own (celery/backends/redis.py). The last one is not Celery's: which ones were added.
const (
	chordParts  = ".j"
	chordSize   = ".s"
	chordAdded  = ".t"
	chordGrowth = ".a"
)

// joining notes a part and counts, as Celery does in a transaction. There a task that ran twice counts twice when its outcome is another
// one; here a part of the same task is looked for among those of its score, which are few: the place in the header.
const joining = `
local noted = false
for _, part in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])) do
	if string.sub(part, 1, #ARGV[3]) == ARGV[3] or string.sub(part, 1, #ARGV[4]) == ARGV[4] then noted = true end
end
if not noted then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) end
local counts = {redis.call('ZCOUNT', KEYS[1], '-inf', '+inf'), redis.call('GET', KEYS[2]) or 0, redis.call('GET', KEYS[3])}
if ARGV[5] ~= '0' then
	for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[5]) end
end
return counts`

// growing counts the tasks that were not added before.
const growing = `
local new = 0
for i = 2, #ARGV do new = new + redis.call('SADD', KEYS[2], ARGV[i]) end
if new > 0 then redis.call('INCRBY', KEYS[1], new) end
if ARGV[1] ~= '0' then
	for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[1]) end
end
return new`

// claiming answers 1 to the first claim, each time.
const claiming = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1`

// scripts are those for chords.
type scripts struct{ join, grow, claim *rueidis.Lua }

func newScripts() scripts {
	return scripts{join: rueidis.NewLuaScript(joining), grow: rueidis.NewLuaScript(growing), claim: rueidis.NewLuaScript(claiming)}
}

// OpenChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) OpenChord(ctx context.Context, header task.Ref) error {
	if err := chord.CheckHeader(header); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if chord.Nested(header) != nil {
		if err := b.SaveGroup(ctx, header); err != nil {
			return err
		}
	}
	if err := b.set(ctx, b.groupKey(header.ID)+chordSize, strconv.Itoa(len(header.Tasks()))); err != nil {
		return fmt.Errorf("redis: size of chord %s: %w", header.ID, err)
	}
	return nil
}

// JoinChord implements result.Joiner. While the server is away it waits until ctx ends. Parts may come before the chord's size: Celery
// writes it just before the last task of the header goes out.
func (b *Backend) JoinChord(ctx context.Context, part result.ChordPart) (*result.Joined, error) {
	joined, err := b.joinChord(ctx, part)
	if err != nil {
		return nil, fmt.Errorf("redis: chord %s: %w", part.GroupID, ordered(err))
	}
	return joined, nil
}

func (b *Backend) joinChord(ctx context.Context, part result.ChordPart) (*result.Joined, error) {
	if err := chord.CheckPart(part); err != nil {
		return nil, err
	}
	member, err := encodePart(part.Meta)
	if err != nil {
		return nil, err
	}
	waited, err := b.note(ctx, part, member)
	if err != nil || waited == 0 {
		return nil, err
	}
	joined := &result.Joined{}
	key := b.groupKey(part.GroupID)
	if joined.Parts, err = b.chordParts(ctx, key); err != nil || int64(len(joined.Parts)) < waited {
		return nil, err // somebody else has sent the body meanwhile, or Celery has counted a task twice
	}
	group, found, err := b.Group(ctx, part.GroupID)
	if err != nil {
		return nil, err
	}
	if found {
		joined.Header = chord.Nested(group)
	}
	if joined.Header != nil { // it is surer than the places: those of groups within the header may be their own
		sortAs(joined.Parts, group.Tasks())
	}
	return joined, nil
}

// sortAs puts the parts in the order of the ids, and those of other tasks behind them.
func sortAs(parts []task.Meta, ids []string) {
	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i - len(ids)
	}
	slices.SortStableFunc(parts, func(a, b task.Meta) int { return place[a.ID] - place[b.ID] })
}

// note adds a part and returns how many the chord waits for, if there are so many: 0 when there are not.
func (b *Backend) note(ctx context.Context, part result.ChordPart, member string) (waited int64, err error) {
	score := "+inf"
	if part.Index >= 0 {
		score = strconv.Itoa(part.Index)
	}
	id, err := codec.JSON{}.Marshal(part.ID)
	if err != nil {
		return 0, err
	}
	key := b.groupKey(part.GroupID)
	keys := []string{key + chordParts, key + chordAdded, key + chordSize, key + chordGrowth}
	args := []string{score, member, fmt.Sprintf("[1, %s,", id), fmt.Sprintf("[1,%s,", id), strconv.FormatInt(b.expires, 10)}
	var counts []rueidis.RedisMessage
	err = b.retry(ctx, func() error {
		counts, err = b.scripts.join.Exec(ctx, b.client, keys, args).ToArray()
		return err
	})
	if err != nil {
		return 0, err
	}
	return complete(counts)
}

// complete compares the count of parts with the size, which is not known before the whole header is on its way.
func complete(counts []rueidis.RedisMessage) (waited int64, err error) {
	if len(counts) < 3 || counts[2].IsNil() {
		return 0, nil
	}
	var numbers [3]int64
	for i, what := range []string{"count", "tasks added", "size"} {
		if numbers[i], err = counts[i].AsInt64(); err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
	}
	if waited = numbers[1] + numbers[2]; numbers[0] < waited {
		return 0, nil
	}
	return waited, nil
}

// chordParts reads the parts in their order, of each task the first one.
func (b *Backend) chordParts(ctx context.Context, key string) ([]task.Meta, error) {
	var members []string
	err := b.retry(ctx, func() (err error) {
		members, err = b.client.Do(ctx, b.client.B().Zrange().Key(key+chordParts).Min("0").Max("-1").Build()).AsStrSlice()
		return err
	})
	if err != nil {
		return nil, err
	}
	parts, seen := make([]task.Meta, 0, len(members)), map[string]bool{}
	for _, member := range members {
		part, err := decodePart(member)
		if err != nil {
			return nil, err
		}
		if !seen[part.ID] {
			seen[part.ID], parts = true, append(parts, part)
		}
	}
	return parts, nil
}

// ordered explains the one error of a chord that is not ours to mend.
func ordered(err error) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("%w: its parts are a list: take result_chord_ordered = False out of result_backend_transport_options in Python: %w",
			result.ErrAccess, err)
	}
	return err
}

// GrowChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) GrowChord(ctx context.Context, group string, ids ...string) error {
	if err := chord.CheckAdded(group, ids); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	key := b.groupKey(group)
	err := b.retry(ctx, func() error {
		args := append([]string{strconv.FormatInt(b.expires, 10)}, ids...)
		return b.scripts.grow.Exec(ctx, b.client, []string{key + chordAdded, key + chordGrowth}, args).Error()
	})
	if err != nil {
		return fmt.Errorf("redis: add to chord %s: %w", group, err)
	}
	return nil
}

// ForgetChord implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) ForgetChord(ctx context.Context, group string) error {
	key := b.groupKey(group)
	if err := b.del(ctx, key+chordParts, key+chordAdded, key+chordSize, key+chordGrowth); err != nil {
		return fmt.Errorf("redis: forget chord %s: %w", group, err)
	}
	return nil
}

// ClaimBody implements result.Joiner. While the server is away it waits until ctx ends.
func (b *Backend) ClaimBody(ctx context.Context, id, claim string) (first bool, err error) {
	if err := chord.CheckClaim(id, claim); err != nil {
		return false, fmt.Errorf("redis: %w", err)
	}
	kept := b.expires
	if kept == 0 {
		kept = seconds(0)
	}
	err = b.retry(ctx, func() error {
		keys, args := []string{b.taskKey(id) + ".claim"}, []string{claim, strconv.FormatInt(kept, 10)}
		first, err = b.scripts.claim.Exec(ctx, b.client, keys, args).AsBool()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("redis: claim the body %s: %w", id, err)
	}
	return first, nil
}
