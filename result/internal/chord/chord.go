// Package chord is what all stores that count chords ask of what they are given.
package chord

import (
	"fmt"
	"slices"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// CheckHeader returns an error that wraps result.ErrInvalid for a header that nothing could complete.
func CheckHeader(header task.Ref) error {
	switch ids := header.Tasks(); {
	case header.ID == "" || slices.Contains(ids, ""):
		return fmt.Errorf("%w: an id is missing in the header of chord %q", result.ErrInvalid, header.ID)
	case !header.Group || len(ids) == 0:
		return fmt.Errorf("%w: chord %s has no tasks to wait for: send its body", result.ErrInvalid, header.ID)
	}
	seen := map[string]bool{}
	for _, id := range header.Tasks() {
		if seen[id] {
			return fmt.Errorf("%w: task %s is in the header of chord %s twice, and can end but once", result.ErrInvalid, id, header.ID)
		}
		seen[id] = true
	}
	return nil
}

// CheckPart returns an error that wraps result.ErrInvalid for a part of no chord, of no task, or without an outcome.
func CheckPart(part result.ChordPart) error {
	if part.GroupID == "" || part.ID == "" || part.State == "" {
		return fmt.Errorf("%w: the part of task %q in chord %q has the state %q: it needs both ids and a state",
			result.ErrInvalid, part.ID, part.GroupID, part.State)
	}
	return nil
}

// CheckAdded returns an error that wraps result.ErrInvalid when an id is missing.
func CheckAdded(group string, ids []string) error {
	if group == "" || slices.Contains(ids, "") {
		return fmt.Errorf("%w: an id is missing among %q, to be added to chord %q", result.ErrInvalid, ids, group)
	}
	return nil
}

// CheckClaim returns an error that wraps result.ErrInvalid when there is no body or no claim.
func CheckClaim(id, claim string) error {
	if id == "" || claim == "" {
		return fmt.Errorf("%w: the body %q cannot be claimed with %q: both are needed", result.ErrInvalid, id, claim)
	}
	return nil
}

// Nested returns the header if groups are in it, else nil.
func Nested(header task.Ref) *task.Ref {
	if slices.ContainsFunc(header.Members, func(r task.Ref) bool { return r.Group }) {
		return &header
	}
	return nil
}
