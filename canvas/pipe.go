package canvas

import (
	"reflect"

	"github.com/seed-399731e2/taskq/task"
)

// pipe is what follows from "a, then b": Celery's operator | (celery/canvas.py, the methods __or__). Neither a nor b changes.
func pipe(a, b task.Signature) task.Signature {
	switch {
	case a.Type == "chain":
		return pipeChain(a, b)
	case a.Type == "group" && b.Type == "group" && len(b.Tasks) == 0:
		return a
	case a.Type == "group":
		return chordOf(a, b)
	}
	b = unroll(b)
	if a.Type == "chord" && a.Body != nil && b.Type != "chain" && b.Type != "group" {
		return pipeBody(a, b)
	}
	if b.Type == "chain" {
		return chainOf(append([]task.Signature{a.Clone()}, unchain(b)...))
	}
	return chainOf([]task.Signature{a.Clone(), b.Clone()})
}

// pipeChain is pipe for a chain that something follows.
func pipeChain(a, b task.Signature) task.Signature {
	b = unroll(b)
	last := len(a.Tasks) - 1
	switch {
	case b.Type == "chain":
		for _, step := range unchain(b) {
			a = pipe(a, step)
		}
		return a
	case last < 0 && b.Type == "group":
		return b.Clone()
	case last >= 0 && a.Tasks[last].Type == "group" && b.Type != "group":
		return upgrade(a.Clone(), b)
	case last >= 0 && a.Tasks[last].Type == "chord" && a.Tasks[last].Body != nil && b.Type != "chord":
		if b.Type == "group" {
			a = chainOf(unchain(a))
		}
		a = a.Clone()
		a.Tasks[last] = pipeBody(a.Tasks[last], b)
		return a
	}
	return chainOf(append(unchain(a), b.Clone()))
}

// upgrade makes the group at the end of a chain the header of a chord with the body b. If it follows a chord, the new one follows that
// one's body.
func upgrade(a, b task.Signature) task.Signature {
	last := len(a.Tasks) - 1
	chord := chordOf(a.Tasks[last], b)
	if last > 0 && a.Tasks[last-1].Type == "chord" && a.Tasks[last-1].Body != nil {
		a.Tasks[last-1] = pipeBody(a.Tasks[last-1], chord)
		a.Tasks = a.Tasks[:last]
		return a
	}
	a.Tasks[last] = chord
	return a
}

// pipeBody lets b follow the body of a chord.
func pipeBody(chord, b task.Signature) task.Signature {
	chord = chord.Clone()
	body := pipe(*chord.Body, b)
	chord.Body = &body
	return chord
}

// chordOf makes a group the header of a chord. A group that has options stays in the header: they hold for its members. Celery drops
// them.
func chordOf(group, body task.Signature) task.Signature {
	if reflect.ValueOf(group.CallOptions).IsZero() {
		return Chord(group.Tasks, body)
	}
	return Chord([]task.Signature{group}, body)
}

func chainOf(steps []task.Signature) task.Signature {
	return task.Signature{Task: "celery.chain", Type: "chain", Tasks: steps}
}

// unroll is a group's only member, or the call itself.
func unroll(s task.Signature) task.Signature {
	if s.Type == "group" && len(s.Tasks) == 1 {
		return s.Tasks[0]
	}
	return s
}

// unchain are the steps of a chain, which take over what is called after it: its links hang on the last one, its error links on all.
func unchain(chain task.Signature) []task.Signature {
	steps := cloneAll(chain.Tasks)
	for i, s := range steps {
		if i == len(steps)-1 {
			s = s.OnSuccess(chain.Link...)
		}
		steps[i] = s.OnError(chain.LinkError...)
	}
	return steps
}

func cloneAll(list []task.Signature) []task.Signature {
	copies := make([]task.Signature, len(list))
	for i, s := range list {
		copies[i] = s.Clone()
	}
	return copies
}
