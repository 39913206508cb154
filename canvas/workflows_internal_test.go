package canvas

import (
	"iter"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

func call(name string, args ...any) task.Signature { return task.Signature{Task: name, Args: args} }
func add(args ...any) task.Signature               { return call("tasks.add", args...) }
func mul(args ...any) task.Signature               { return call("tasks.mul", args...) }
func note(args ...any) task.Signature              { return call("log.note", args...) }
func xsum() task.Signature                         { return call("tasks.xsum") }
func lone() task.Signature                         { return call("ping") }
func pair() task.Signature                         { return Group(add(1), add(2)) }
func one() task.Signature                          { return Group(add(1)) }
func none() task.Signature                         { return Group() }
func joined() task.Signature                       { return Chord(calls(add(1), add(2)), xsum()) }

// chunked is what Celery's chunks are before they are sent as a group.
func chunked(items [][]int, n int) task.Signature {
	s := each("celery.chunks", add(), items)
	s.Kwargs["n"] = n
	return s
}

func calls(list ...task.Signature) []task.Signature { return list }

func counted(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// workflows are the cases of testdata/workflows.py in Go.
func workflows() map[string]task.Signature {
	return map[string]task.Signature{
		// calls
		"task":              add(2, 2),
		"task none":         lone(),
		"task kwargs":       add(2).WithKwargs(map[string]any{"y": 3}),
		"task values":       add("text", nil, true, 1.5, []any{1, "a"}, map[string]any{"k": "v"}),
		"task immutable":    add(2, 2).SI(),
		"task options":      add(2, 2).With(task.Queue("math")).With(task.Countdown(10 * time.Second)).With(task.Priority(3)),
		"task args":         add(2).WithArgs(1),
		"task args twice":   add(3).WithArgs(2).WithArgs(1),
		"task kwargs merge": add().WithKwargs(map[string]any{"x": 1, "y": 2}).WithKwargs(map[string]any{"y": 3, "z": 4}),
		"immutable args":    add(2).SI().WithArgs(1).WithKwargs(map[string]any{"y": 3}),
		"set replaces":      add().With(task.Queue("a")).With(task.Priority(1)).With(task.Queue("b")),
		"set link":          add().With(task.Link(note(1))),
		"link":              add(1).OnSuccess(note(1)),
		"link twice":        add(1).OnSuccess(note(1), note(1), note(2)),
		"link error":        add(1).OnError(note(1), note(1)),
		"link chain":        add(1).OnSuccess(Chain(add(2), add(3))),
		"link group":        add(1).OnSuccess(pair()),
		"link of link":      add(1).OnSuccess(add(2).OnSuccess(note(3))),

		// two
		"task | task":   pipe(add(1), add(2)),
		"task | chain":  pipe(add(1), pipe(add(2), add(3))),
		"task | group":  pipe(add(1), pair()),
		"task | one":    pipe(add(1), one()),
		"task | none":   pipe(add(1), none()),
		"task | chord":  pipe(add(1), joined()),
		"chain | task":  pipe(pipe(add(1), add(2)), add(3)),
		"chain | chain": pipe(pipe(add(1), add(2)), pipe(add(3), add(4))),
		"chain | group": pipe(pipe(add(1), add(2)), pair()),
		"chain | one":   pipe(pipe(add(1), add(2)), one()),
		"chain | none":  pipe(pipe(add(1), add(2)), none()),
		"chain | chord": pipe(pipe(add(1), add(2)), joined()),
		"group | task":  pipe(pair(), add(3)),
		"group | chain": pipe(pair(), pipe(add(3), add(4))),
		"group | group": pipe(pair(), Group(mul(1), mul(2))),
		"group | one":   pipe(pair(), one()),
		"group | none":  pipe(pair(), none()),
		"group | chord": pipe(pair(), joined()),
		"one | task":    pipe(one(), add(3)),
		"none | task":   pipe(none(), add(3)),
		"none | none":   pipe(none(), none()),
		"chord | task":  pipe(joined(), add(3)),
		"chord | chain": pipe(joined(), pipe(add(3), add(4))),
		"chord | group": pipe(joined(), pair()),
		"chord | one":   pipe(joined(), one()),
		"chord | none":  pipe(joined(), none()),
		"chord | chord": pipe(joined(), joined()),

		// chains
		"chain()":                           Chain(),
		"chain(task)":                       Chain(add(1)),
		"chain(group)":                      Chain(pair()),
		"chain(one)":                        Chain(one()),
		"chain(none)":                       Chain(none()),
		"chain(chord)":                      Chain(joined()),
		"chain(chain)":                      Chain(pipe(add(1), add(2))),
		"chain of 3":                        Chain(add(1), add(2), add(3)),
		"chain of chains":                   Chain(pipe(add(1), add(2)), pipe(add(3), add(4))),
		"chain of chain of group":           Chain(add(1), Chain(add(2), pair()), add(3)),
		"chain group task":                  Chain(pair(), add(3)),
		"chain one task":                    Chain(one(), add(3)),
		"chain none task":                   Chain(none(), add(3)),
		"chain task group task":             Chain(add(0), pair(), add(3)),
		"chain task group task task":        Chain(add(0), pair(), add(3), add(4)),
		"chain task one task":               Chain(add(0), one(), add(3)),
		"chain task none task":              Chain(add(0), none(), add(3)),
		"chain task group group":            Chain(add(0), pair(), Group(mul(1), mul(2))),
		"chain task group group task":       Chain(add(0), pair(), Group(mul(1), mul(2)), add(3)),
		"chain task group group group":      Chain(add(0), pair(), pair(), pair()),
		"chain group group":                 Chain(pair(), pair()),
		"chain group group task":            Chain(pair(), pair(), xsum()),
		"chain group task group task":       Chain(pair(), add(3), pair(), add(4)),
		"chain task group task group task":  Chain(add(0), pair(), add(3), pair(), add(4)),
		"chain chord task":                  Chain(joined(), add(3)),
		"chain chord group":                 Chain(joined(), pair()),
		"chain chord chord":                 Chain(joined(), joined()),
		"chain chord chain":                 Chain(joined(), Chain(add(3), add(4))),
		"chain task chord task":             Chain(add(0), joined(), add(3)),
		"chain task chord group":            Chain(add(0), joined(), pair()),
		"chain task chord chord":            Chain(add(0), joined(), joined()),
		"chain task chord group task":       Chain(add(0), joined(), pair(), add(4)),
		"chain task chord chord task":       Chain(add(0), joined(), joined(), add(4)),
		"chain group chord":                 Chain(pair(), joined()),
		"chain task group chord":            Chain(add(0), pair(), joined()),
		"chain group chain":                 Chain(pair(), Chain(add(3), add(4))),
		"chain task group chain":            Chain(add(0), pair(), Chain(add(3), add(4))),
		"chain task group chain group task": Chain(add(0), pair(), Chain(add(3), pair()), add(4)),
		"chain immutable":                   Chain(add(1), add(2, 2).SI()),
		"chain options":                     Chain(add(1), add(2)).With(task.Queue("math")),
		"chain options | task":              pipe(Chain(add(1), add(2)).With(task.Queue("math")), add(3)),
		"chain group options | task":        pipe(pipe(add(1), pair()).With(task.Queue("math")), add(3)),
		"chain chord options | task":        pipe(pipe(add(0), joined()).With(task.Queue("math")), add(3)),
		"chain chord options | group":       pipe(pipe(add(0), joined()).With(task.Queue("math")), pair()),
		"chain linked | task":               pipe(pipe(add(1), add(2)).OnSuccess(note(1)), add(3)),
		"chain guarded | task":              pipe(pipe(add(1), add(2)).OnError(note(1)), add(3)),
		"chain guarded | chain guarded":     pipe(pipe(add(1), add(2)).OnError(note(1)), pipe(add(3), add(4)).OnError(note(2))),
		"task | chain linked":               pipe(add(1), pipe(add(2), add(3)).OnSuccess(note(1))),
		"chain group linked | task":         pipe(pipe(add(1), pair()).OnSuccess(note(1)), add(3)),

		// groups
		"group()":                     Group(),
		"group(task)":                 Group(add(1)),
		"group([group])":              Group(pair()),
		"chord([group])":              Chord(calls(pair()), xsum()),
		"group | task | group | task": pipe(pipe(pipe(pair(), add(3)), pair()), add(4)),
		"task | group | task | group | task | task": pipe(pipe(pipe(pipe(pipe(add(0), pair()), add(3)), pair()), add(4)), add(5)),
		"chain([chord | chain])":                    Chain(pipe(joined(), pipe(add(3), add(4))), pair(), add(5)),
		"chain of linked groups":                    pipe(pipe(pipe(add(1), pair()).OnSuccess(note(1)).OnError(note(2)), pair()), add(3)),
		"group link chain":                          pair().OnSuccess(pipe(add(3), add(4))),
		"group link group":                          pair().OnSuccess(pair()),
		"group of chord link":                       Group(joined(), add(1)).OnSuccess(note(1)),
		"chord body chain link":                     Chord(calls(add(1)), pipe(add(2), add(3))).OnSuccess(note(1)),
		"chord body group link":                     Chord(calls(add(1)), pair()).OnSuccess(note(1)).OnError(note(2)),
		"group(chain)":                              Group(pipe(add(1), add(2))),
		"group of 3":                                Group(add(0), add(1), add(2)),
		"group of groups":                           Group(pair(), Group(mul(1), mul(2))),
		"group of chains":                           Group(pipe(add(1), add(2)), pipe(add(3), add(4))),
		"group of chords":                           Group(joined(), joined()),
		"group options":                             Group(add(1), add(2)).With(task.Queue("math")),
		"group options | task":                      pipe(Group(add(1), add(2)).With(task.Queue("math")), add(3)),
		"group immutable":                           pair().SI(),
		"group link":                                pair().OnSuccess(note(1)),
		"group link error":                          pair().OnError(note(1)),
		"group link error, chord in it":             Group(add(1), joined(), pipe(add(1), add(2))).OnError(note(1)),

		// chords
		"chord":                         Chord(calls(add(1), add(2)), xsum()),
		"chord one":                     Chord(calls(add(1)), xsum()),
		"chord none":                    Chord(nil, xsum()),
		"chord group":                   Chord(pair().Tasks, xsum()),
		"chord of chains":               Chord(calls(pipe(add(1), add(2)), add(3)), xsum()),
		"chord of groups":               Chord(calls(pair(), Group(mul(1), mul(2))), xsum()),
		"chord of chords":               Chord(calls(joined(), joined()), xsum()),
		"chord body chain":              Chord(calls(add(1), add(2)), pipe(xsum(), add(3))),
		"chord body group":              Chord(calls(add(1), add(2)), pair()),
		"chord body chord":              Chord(calls(add(1), add(2)), joined()),
		"chord body immutable":          Chord(calls(add(1), add(2)), add(3, 3).SI()),
		"chord options":                 Chord(calls(add(1), add(2)), xsum()).With(task.Queue("math")),
		"chord options | task":          pipe(Chord(calls(add(1), add(2)), xsum()).With(task.Queue("math")), add(3)),
		"chord immutable":               joined().SI(),
		"chord link":                    joined().OnSuccess(note(1)),
		"chord link error":              joined().OnError(note(1)),
		"chord link error, chord in it": Chord(calls(joined(), add(1)), xsum()).OnError(note(1)),
		"chain link":                    pipe(add(1), add(2)).OnSuccess(note(1)),
		"chain link error":              pipe(add(1), add(2)).OnError(note(1)),

		// one task for many items
		"map of many":  Map(add(), slices.Collect(counted(50))),
		"map":          Map(add(), []int{1, 2, 3}),
		"starmap":      Starmap(add(), [][]int{{1, 1}, {2, 2}}),
		"chunks":       chunked([][]int{{1, 1}, {2, 2}, {3, 3}}, 2),
		"chain of map": pipe(pipe(add(1), Map(add(), []int{1, 2})), xsum()),
	}
}
