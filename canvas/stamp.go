package canvas

import (
	"maps"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// Place is where in a workflow a Stamper is asked for stamps (celery/canvas.py, StampingVisitor).
type Place int

// The places. What is stamped at a group, a chain or a header goes on to all in it; at a callback or an errback to what hangs on it.
const (
	AtTask        Place = iota // a call of a task
	AtGroup                    // a group, before its members
	AtChain                    // a chain, before its links and steps
	AtChordHeader              // a chord, before its header
	AtChordBody                // a chord, before its body; the stamps of the header hold there, too
	AtCallback                 // a call that is made on success
	AtErrback                  // a call that is made on failure
)

// Stamper returns the stamps for a place in a workflow, and nil for none. s is the call, group, chain or chord there; outer are the stamps
// that reach it from outside, which a stamp of the same name does not replace.
type Stamper func(place Place, s task.Signature, outer map[string]any) map[string]any

// Stamp marks each call of a workflow, also those linked to it and the bodies of its chords, with the values: they are found and revoked by them,
// and tasks see them in Request.Stamps. Earlier stamps of a call stay; one of the same name is replaced, and when both are lists the
// earlier is added to the new. (Celery's Signature.stamp, which leaves out the bodies of chords.)
func Stamp(s task.Signature, stamps map[string]any) task.Signature {
	return StampEach(s, func(Place, task.Signature, map[string]any) map[string]any { return nil }, stamps)
}

// StampEach is Stamp with what stamp says for each place, and for all of them the given stamps, which may be nil.
func StampEach(s task.Signature, stamp Stamper, stamps map[string]any) task.Signature {
	if stamps == nil {
		stamps = map[string]any{}
	}
	return stamp.stamped(s.Clone(), stamps)
}

// stamped may change what s refers to.
func (f Stamper) stamped(s task.Signature, outer map[string]any) task.Signature {
	switch s.Type {
	case "chain":
		return f.parts(s, AtChain, outer)
	case "group":
		return f.parts(s, AtGroup, outer)
	case "chord":
		return f.chord(s, outer)
	}
	s = f.links(s, outer)
	stamps := merged(merged(outer, f(AtTask, s, maps.Clone(outer))), s.Stamps)
	s.Stamps, s.StampedHeaders = stamps, slices.Sorted(maps.Keys(stamps))
	if s.StampedHeaders == nil {
		s.StampedHeaders = []string{}
	}
	return s
}

// parts stamps what a workflow is made of, and what is linked to it.
func (f Stamper) parts(s task.Signature, place Place, outer map[string]any) task.Signature {
	stamps := merged(merged(outer, f(place, s, maps.Clone(outer))), s.Stamps)
	s = f.links(s, stamps)
	for i, part := range s.Tasks {
		s.Tasks[i] = f.stamped(part, stamps)
	}
	return s
}

func (f Stamper) chord(s task.Signature, outer map[string]any) task.Signature {
	stamps := merged(merged(outer, f(AtChordHeader, s, maps.Clone(outer))), s.Stamps)
	s = f.links(s, stamps)
	for i, part := range s.Tasks {
		s.Tasks[i] = f.stamped(part, stamps)
	}
	if s.Body != nil {
		body := f.stamped(*s.Body, merged(stamps, f(AtChordBody, s, maps.Clone(stamps))))
		s.Body = &body
	}
	return s
}

// links stamps what is called after s.
func (f Stamper) links(s task.Signature, outer map[string]any) task.Signature {
	for _, l := range []struct {
		place Place
		calls []task.Signature
	}{{AtCallback, s.Link}, {AtErrback, s.LinkError}} {
		for i, call := range l.calls {
			l.calls[i] = f.stamped(call, merged(outer, f(l.place, call, maps.Clone(outer))))
		}
	}
	return s
}

// merged are the stamps with those of more that have other names. Of a name that both have, lists are joined and maps merged.
func merged(stamps, more map[string]any) map[string]any {
	all := maps.Clone(stamps)
	for name, value := range more {
		have, both := all[name]
		if !both {
			all[name] = value
			continue
		}
		switch have := have.(type) {
		case []any:
			if value, ok := value.([]any); ok {
				all[name] = slices.Concat(have, value)
			}
		case map[string]any:
			if value, ok := value.(map[string]any); ok {
				all[name] = merged(have, value)
			}
		}
	}
	return all
}
