package task

import (
	"maps"
	"reflect"
	"slices"
)

// The methods here return a changed copy, by Celery's rules for what a workflow does with it (celery/canvas.py). The signature they are
// called on stays as it is.

// WithArgs puts arguments in front of those of the call, as a result that comes before it in a workflow is (Celery's clone). An immutable
// call keeps its own. In a chain they are for the first step, in a group for each member, in a chord for each task of the header.
func (s Signature) WithArgs(args ...any) Signature {
	return s.first(func(s Signature) Signature {
		s.Args = slices.Concat(args, s.Args)
		return s
	})
}

// WithKwargs adds keyword arguments, in place of those of the same names. See WithArgs for immutable calls and for workflows.
func (s Signature) WithKwargs(kwargs map[string]any) Signature {
	return s.first(func(s Signature) Signature {
		s.Kwargs = maps.Clone(s.Kwargs)
		if s.Kwargs == nil {
			s.Kwargs = make(map[string]any, len(kwargs))
		}
		maps.Copy(s.Kwargs, kwargs)
		return s
	})
}

// first changes the calls that a workflow starts with, but for the immutable ones.
func (s Signature) first(change func(Signature) Signature) Signature {
	s = s.Clone()
	switch {
	case s.Type == "group" || s.Type == "chord":
		for i, part := range s.Tasks {
			s.Tasks[i] = part.first(change)
		}
	case s.Immutable:
	case s.Type == "":
		return change(s)
	case len(s.Tasks) > 0:
		s.Tasks[0] = s.Tasks[0].first(change)
	}
	return s
}

// SI makes the call immutable: it takes no earlier result in front of its arguments (Celery's set(immutable=True); see Task.SI). Of a chain
// that is the first step, of a group each member, of a chord each task of the header.
func (s Signature) SI() Signature {
	s = s.first(func(s Signature) Signature { return s.withImmutable() })
	if s.Type == "chain" {
		return s.withImmutable() // as Celery marks it, to no avail once it was sent
	}
	return s
}

func (s Signature) withImmutable() Signature {
	s.Immutable = true
	return s
}

// OnSuccess adds calls that are made once this one has succeeded, each with the result in front of its arguments, unless it is immutable.
// One that is there already is not added again. For a chain that is after its last step, for a chord after its body. A group calls them
// when its first member succeeds, without a result: to go on with the results of all, make it the header of a chord. (Celery's link.)
func (s Signature) OnSuccess(calls ...Signature) Signature {
	s = s.Clone()
	for _, call := range calls {
		s = s.linked(call)
	}
	return s
}

func (s Signature) linked(call Signature) Signature {
	switch {
	case s.Type == "chord" && s.Body != nil:
		body := s.Body.linked(call)
		s.Body = &body
	case s.Type == "group" && len(s.Tasks) > 0:
		s.Tasks[0] = s.Tasks[0].linked(call.SI())
	default:
		s.Link = addCall(s.Link, call)
	}
	return s
}

// OnError adds calls that are made once this one has failed, each with the id of the task that failed in front of its arguments, unless it
// is immutable. One that is there already is not added again. A chain makes them for whichever step fails, a group for each member that does, a
// chord when its body fails, as it does when a task of the header has. (Celery's link_error.)
func (s Signature) OnError(calls ...Signature) Signature {
	s = s.Clone()
	for _, call := range calls {
		s = s.guarded(call)
	}
	return s
}

func (s Signature) guarded(call Signature) Signature {
	switch {
	case s.Type == "chord" && s.Body != nil:
		for i, part := range s.Tasks {
			if part.Type == "chord" {
				s.Tasks[i] = part.guarded(call)
			}
		}
		body := s.Body.guarded(call)
		s.Body = &body
	case s.Type == "group" && len(s.Tasks) > 0:
		for i, part := range s.Tasks {
			s.Tasks[i] = part.guarded(call)
		}
	default:
		s.LinkError = addCall(s.LinkError, call)
	}
	return s
}

func addCall(list []Signature, call Signature) []Signature {
	if slices.ContainsFunc(list, func(have Signature) bool { return reflect.DeepEqual(have, call) }) {
		return list
	}
	return append(list, call.Clone())
}

// FlattenLinks returns the call, what is linked to its success, what is linked to that, and so on (Celery's flatten_links).
func (s Signature) FlattenLinks() []Signature {
	all := []Signature{s}
	for _, link := range s.Link {
		all = append(all, link.FlattenLinks()...)
	}
	return all
}
