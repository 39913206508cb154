// Package canvas makes workflows of calls: chains, groups, chords, and what combines them (celery/canvas.py). A workflow is a
// task.Signature like any other: it is sent with App.Send, linked, put into another workflow, and written as Celery writes it.
package canvas

import "github.com/seed-399731e2/taskq/task"

// Chain calls one task after the other, each with the result of the one before in front of its arguments.
func Chain(steps ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.chain", Type: "chain", Tasks: steps}
}

// Group calls tasks side by side. Its result is the list of theirs.
func Group(members ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.group", Type: "group", Tasks: members}
}

// Chord calls the tasks of the header side by side and, once all have succeeded, the body with the list of their results.
func Chord(header []task.Signature, body task.Signature) task.Signature {
	return task.Signature{Task: "celery.chord", Type: "chord", Tasks: header, Body: &body}
}

// Map calls a task for each item, one after the other, in one task. Its result is the list of theirs.
func Map[T any](t task.Signature, items []T) task.Signature {
	return task.Signature{Task: "celery.map", Kwargs: map[string]any{"task": t, "it": items}, Immutable: true}
}

// Starmap is Map for tasks with several arguments: each item is a list of them.
func Starmap[T any](t task.Signature, items [][]T) task.Signature {
	return task.Signature{Task: "celery.starmap", Kwargs: map[string]any{"task": t, "it": items}, Immutable: true}
}

// Chunks is Starmap in parts of n items, which run side by side. Its result is the list of the parts' results.
func Chunks[T any](t task.Signature, items [][]T, n int) task.Signature {
	return task.Signature{Task: "celery.chunks", Kwargs: map[string]any{"task": t, "it": items, "n": n}, Immutable: true}
}
