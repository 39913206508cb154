package mem

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/chord"
	"github.com/seed-399731e2/taskq/task"
)

// joining is a chord whose body has not been sent.
type joining struct {
	nested *task.Ref            // the header, when groups are in it
	order  []string             // of the tasks that it waits for
	parts  map[string]task.Meta // what has come of them; no state: nothing yet
	left   int                  // how many of them have not ended
}

// add has the chord wait for the tasks that it does not wait for yet.
func (c *joining) add(ids ...string) {
	for _, id := range ids {
		if _, known := c.parts[id]; !known {
			c.parts[id], c.order, c.left = task.Meta{}, append(c.order, id), c.left+1
		}
	}
}

// note keeps the first outcome of a task.
func (c *joining) note(m task.Meta) {
	if old, known := c.parts[m.ID]; known && old.State == "" {
		c.parts[m.ID] = task.Meta{ID: m.ID, State: m.State, Result: m.Result, Codec: m.Codec}
		c.left--
	}
}

// joined is nil while a task is missing.
func (c *joining) joined() *result.Joined {
	if c.left > 0 {
		return nil
	}
	j := &result.Joined{Parts: make([]task.Meta, len(c.order)), Header: c.nested}
	for i, id := range c.order {
		j.Parts[i] = c.parts[id]
	}
	return j
}

// OpenChord implements result.Joiner.
func (b *Backend) OpenChord(_ context.Context, header task.Ref) error {
	if err := chord.CheckHeader(header); err != nil {
		return fmt.Errorf("mem: %w", err)
	}
	return b.chord(header.ID, func(c *joining) *joining {
		if c == nil {
			c = &joining{nested: chord.Nested(header), parts: map[string]task.Meta{}}
			c.add(header.Tasks()...)
		}
		return c
	})
}

// JoinChord implements result.Joiner.
func (b *Backend) JoinChord(_ context.Context, part result.ChordPart) (joined *result.Joined, err error) {
	if err := chord.CheckPart(part); err != nil {
		return nil, fmt.Errorf("mem: %w", err)
	}
	err = b.chord(part.GroupID, func(c *joining) *joining {
		if c != nil {
			c.note(part.Meta)
			joined = c.joined()
		}
		return c
	})
	return joined, err
}

// GrowChord implements result.Joiner.
func (b *Backend) GrowChord(_ context.Context, group string, ids ...string) error {
	if err := chord.CheckAdded(group, ids); err != nil {
		return fmt.Errorf("mem: %w", err)
	}
	return b.chord(group, func(c *joining) *joining {
		if c != nil {
			c.add(ids...)
		}
		return c
	})
}

// ForgetChord implements result.Joiner.
func (b *Backend) ForgetChord(_ context.Context, group string) error {
	return b.chord(group, func(*joining) *joining { return nil })
}

// chord changes what is noted of a chord; nil is nothing.
func (b *Backend) chord(id string, change func(*joining) *joining) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	var old *joining
	if k, ok := b.chords[id]; ok && b.fresh(k.at, now) {
		old = k.value
	}
	if c := change(old); c != nil {
		b.chords[id] = kept[*joining]{c, now}
	} else {
		delete(b.chords, id)
	}
	return nil
}

// ClaimBody implements result.Joiner.
func (b *Backend) ClaimBody(_ context.Context, id, claim string) (bool, error) {
	if err := chord.CheckClaim(id, claim); err != nil {
		return false, fmt.Errorf("mem: %w", err)
	}
	if err := b.waiters.Err(); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	if k, ok := b.claims[id]; ok && k.value != claim && b.claimed(k.at, now) {
		return false, nil
	}
	b.claims[id] = kept[string]{claim, now}
	return true, nil
}

// claimed reports whether a claim counts: claims end where outcomes do not.
func (b *Backend) claimed(at, now time.Time) bool {
	return b.fresh(at, now) && now.Sub(at) < max(b.expires, defaultExpires)
}
