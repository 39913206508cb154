package canvas

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/task"
)

// stampFlows are the workflows of testdata/stamps.py in Go.
func stampFlows() map[string]task.Signature {
	return map[string]task.Signature{
		"task":            add(1),
		"linked":          add(1).OnSuccess(note(1), add(2)).OnError(note(2), add(3)),
		"deep links":      add(1).OnSuccess(add(2).OnSuccess(add(3).OnError(note(1)))),
		"chain":           Chain(add(1), add(2)),
		"chain linked":    Chain(add(1), add(2)).OnSuccess(note(1)).OnError(note(2)),
		"chain stamped":   Chain(add(1), add(2)).With(task.Stamp("own", 1)),
		"chord stamped":   Chord(calls(add(1)), note()).With(task.Stamp("own", 1)),
		"group":           Group(add(1), note(2)),
		"groups":          Group(Group(add(1), add(2)), Chain(add(3), Group(add(4), add(5)))),
		"chord":           Chord(calls(add(1), add(2)), note()),
		"chord linked":    Chord(calls(add(1), Chain(add(2), add(3))), note()).OnSuccess(note(1)).OnError(note(2)),
		"chord of chords": Chord(calls(Chord(calls(add(1)), add(2))), Chord(calls(add(3)), add(4))),
		"chain of chord":  Chain(add(0), Group(add(1), add(2)), note(), add(3)),
		"link chain":      add(1).OnSuccess(Chain(add(2), add(3)), Group(add(4), add(5)), Chord(calls(add(6)), note())),
	}
}

func asStamps(values ...any) map[string]any {
	stamps := map[string]any{}
	for i := 0; i < len(values); i += 2 {
		stamps[values[i].(string)] = values[i+1]
	}
	return stamps
}

func onTasks(place Place, s task.Signature, _ map[string]any) map[string]any {
	if place == AtTask {
		return asStamps("on", s.Task)
	}
	return nil
}

// places is the Places of stamps.py. A header is a group there.
func places(place Place, s task.Signature, _ map[string]any) map[string]any {
	return map[Place]map[string]any{
		AtTask: asStamps("signatures", 1), AtGroup: asStamps("groups", len(s.Tasks)), AtChordHeader: asStamps("groups", len(s.Tasks)),
		AtChain: asStamps("chains", len(s.Tasks)), AtChordBody: asStamps("bodies", 1),
		AtCallback: asStamps("callbacks", s.Task), AtErrback: asStamps("errbacks", s.Task),
	}[place]
}

func same(place Place, _ task.Signature, _ map[string]any) map[string]any {
	return map[Place]map[string]any{
		AtTask: asStamps("at", "signature"), AtGroup: asStamps("at", "group"), AtChordHeader: asStamps("at", "group"),
		AtChain: asStamps("at", []any{"chain"}), AtChordBody: asStamps("at", "body"), AtCallback: asStamps("at", "callback"),
	}[place]
}

func seen(place Place, _ task.Signature, outer map[string]any) map[string]any {
	switch place {
	case AtTask:
		return asStamps("seen", strings.Join(slices.Sorted(maps.Keys(outer)), ","))
	case AtChain:
		return asStamps("c", 1)
	case AtGroup, AtChordHeader:
		return asStamps("g", 1)
	}
	return nil
}

// stampings are the ways to stamp of stamps.py.
func stampings() map[string]func(task.Signature) task.Signature {
	each := func(f Stamper, stamps ...any) func(task.Signature) task.Signature {
		return func(s task.Signature) task.Signature { return StampEach(s, f, asStamps(stamps...)) }
	}
	return map[string]func(task.Signature) task.Signature{
		"plain": func(s task.Signature) task.Signature { return Stamp(s, asStamps("tenant", "acme")) },
		"list":  func(s task.Signature) task.Signature { return Stamp(s, asStamps("trace", []any{"t1", "t2"}, "n", 1)) },
		"twice": func(s task.Signature) task.Signature {
			return Stamp(Stamp(s, asStamps("tenant", "acme", "a", 1)), asStamps("tenant", "other", "b", 2))
		},
		"tasks":      each(onTasks),
		"tasks over": each(onTasks, "on", "all"),
		"places":     each(places),
		"same":       each(same),
		"seen":       each(seen, "x", 1),
		"nothing":    each(func(Place, task.Signature, map[string]any) map[string]any { return nil }),
	}
}

// tidied writes a chord's header as a list, where Celery has made it a group to stamp it, and leaves out names of stamps that have no
// value: those of other calls, with which the list of names was shared.
func tidied(v any) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = tidied(e)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = tidied(e)
		}
		if header, ok := v["header"].(map[string]any); ok && len(header["options"].(map[string]any)) == 0 {
			v["header"] = header["kwargs"].(map[string]any)["tasks"]
		}
		if all, ok := v["stamped_headers"].([]any); ok {
			v["stamped_headers"] = slices.DeleteFunc(all, func(name any) bool { return v[name.(string)] == nil })
		}
	}
	return v
}

// withoutBodies leaves out what is stamped here and not by Celery: the bodies of chords, without a visitor.
func withoutBodies(v any) any {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			withoutBodies(e)
		}
	case map[string]any:
		if v["subtask_type"] == "chord" {
			delete(v["kwargs"].(map[string]any), "body")
		}
		for _, e := range v {
			withoutBodies(e)
		}
	}
	return v
}

// betterStamped are the cases that we stamp otherwise than Celery, and why.
func betterStamped() map[string]string {
	return map[string]string{
		"linked: places":       "Celery gives a callback the stamps of the one before it as well",
		"link chain: places":   "the same",
		"chain of chord: same": "Celery adds to a list that other calls share",
	}
}

func TestStampsAreThoseOfCelery(t *testing.T) {
	t.Parallel()
	stamped, n := captured(t, "stamps", "main"), 0
	for flow, s := range stampFlows() {
		for name, stamp := range stampings() {
			want, ok := stamped[flow+": "+name]
			if !ok {
				t.Errorf("%s: %s: Celery has no such case", flow, name)
				continue
			}
			n++
			theirs, ours := tidied(parsed(t, want.Signature)), encoded(t, stamp(s))
			if name == "plain" || name == "list" || name == "twice" {
				theirs, ours = withoutBodies(theirs), withoutBodies(ours)
			}
			diff := cmp.Diff(theirs, ours)
			if _, differs := betterStamped()[flow+": "+name]; differs {
				if diff == "" {
					t.Errorf("%s: %s: as in Celery, against what is said of it", flow, name)
				}
				continue
			}
			if diff != "" {
				t.Errorf("%s: %s (-Celery +taskq):\n%s", flow, name, diff)
			}
		}
	}
	if n != len(stamped) {
		t.Errorf("%d cases here, %d of Celery", n, len(stamped))
	}
}

func TestTheBodyOfAChordIsStampedToo(t *testing.T) {
	t.Parallel()
	flow := Chord(calls(add(1)), Chain(add(2), Chord(calls(add(3)), add(4).OnError(note()))))
	before := flow.Clone()
	var n int
	StampEach(flow, func(place Place, s task.Signature, outer map[string]any) map[string]any {
		if place == AtTask && outer["tenant"] == "acme" {
			n++
		}
		outer["stray"] = true // a copy
		return nil
	}, asStamps("tenant", "acme"))
	if n != 5 {
		t.Errorf("%d calls are stamped, want 5", n)
	}
	if diff := cmp.Diff(before, flow); diff != "" {
		t.Errorf("the workflow has changed (-before +after):\n%s", diff)
	}
}
