package canvas

import (
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// Chain calls one task after the other, each with the result of the one before in front of its arguments, unless it is immutable. Its result
// is that of the last one.
//
// It is put together step by step by the rules of Celery's operator |: the steps of a chain in it become its own, a group with one member is
// that member, a group that something follows becomes the header of a chord, and what follows a chord is called after its body.
func Chain(steps ...task.Signature) task.Signature {
	all := chainOf(nil)
	for _, s := range steps {
		all = pipe(all, s)
	}
	return all
}

// Group calls tasks side by side. Its result is the list of theirs; those of groups in it stand in the places of the groups.
func Group(members ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.group", Type: "group", Tasks: cloneAll(members)}
}

// Chord calls the tasks of the header side by side and, once all have succeeded, the body with the list of their results. Its result is the
// body's. When one fails the body is not called, and fails.
func Chord(header []task.Signature, body task.Signature) task.Signature {
	body = body.Clone()
	return task.Signature{Task: "celery.chord", Type: "chord", Tasks: cloneAll(header), Body: &body}
}

// Map calls a task for each item, one after the other, in one task. Its result is the list of theirs. A result that comes before it in a
// workflow is dropped, as it is with Starmap and Chunks.
func Map[T any](t task.Signature, items []T) task.Signature {
	return each("celery.map", t, items)
}

// Starmap is Map for tasks with several arguments: each item is a list of them.
func Starmap[T any](t task.Signature, items [][]T) task.Signature {
	return each("celery.starmap", t, items)
}

// Chunks is Starmap in parts of n items, which run side by side: a group, as Celery's chunks become once they are sent. Its result is the
// list of the parts' results, and what follows it gets that list, as with any group; a single part is no group where something follows.
func Chunks[T any](t task.Signature, items [][]T, n int) task.Signature {
	if n < 1 {
		s := each("celery.chunks", t, items) // which says what is wrong once it is sent
		s.Kwargs["n"] = n
		return s
	}
	group := task.Signature{Task: "celery.group", Type: "group", Tasks: make([]task.Signature, 0, (len(items)+n-1)/n)}
	for part := range slices.Chunk(items, n) {
		group.Tasks = append(group.Tasks, Starmap(t, part))
	}
	return group
}

func each[T any](name string, t task.Signature, items []T) task.Signature {
	if items == nil {
		items = []T{} // not null, which no task could go over
	}
	return task.Signature{Task: name, Kwargs: map[string]any{"task": t.Clone(), "it": items}, Immutable: true}
}
