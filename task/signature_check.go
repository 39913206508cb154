package task

import (
	"errors"
	"fmt"
)

// validSignature names the place in a workflow: "chain[1]: group[0]: …".
func validSignature(s *Signature) error {
	switch {
	case s.Task == "":
		return errors.New("the call names no task")
	case s.Type != "" && s.Type != "chain" && s.Type != "group" && s.Type != "chord":
		return fmt.Errorf("%s: unknown type of signature %q: want chain, group, chord, or none for a task", s.Task, s.Type)
	}
	if err := validParts(s); err != nil {
		return err
	}
	for i, v := range s.Args {
		if err := validArgument(v); err != nil {
			return fmt.Errorf("%s: argument %d: %w", s.Task, i, err)
		}
	}
	for name, v := range s.Kwargs {
		if err := validArgument(v); err != nil {
			return fmt.Errorf("%s: argument %s: %w", s.Task, name, err)
		}
	}
	if n, ok := s.Kwargs["n"].(int); ok && s.Task == "celery.chunks" && n < 1 {
		return fmt.Errorf("celery.chunks: parts of %d items: want 1 or more", n)
	}
	return validOptions(&s.CallOptions, true)
}

// validParts looks at what a workflow is made of.
func validParts(s *Signature) error {
	switch {
	case s.Type == "" && (s.Tasks != nil || s.Body != nil):
		return fmt.Errorf("%s: a task has no parts: its type must be chain, group or chord", s.Task)
	case s.Type == "chain" && len(s.Tasks) == 0:
		return errors.New("the chain has no steps")
	case s.Type == "chord" && s.Body == nil:
		return errors.New("the chord has no body to call with the results of its header")
	case s.Type != "chord" && s.Body != nil:
		return fmt.Errorf("a %s has no body: make it the header of a chord", s.Type)
	}
	place := s.Type
	if s.Type == "chord" {
		place = "header of the chord"
	}
	for i := range s.Tasks {
		if err := validSignature(&s.Tasks[i]); err != nil {
			return fmt.Errorf("%s[%d]: %w", place, i, err)
		}
	}
	if s.Body == nil {
		return nil
	}
	if err := validSignature(s.Body); err != nil {
		return fmt.Errorf("body of the chord: %w", err)
	}
	return nil
}

// validArgument refuses an argument that says what is wrong with the call, and calls among the arguments that could not be sent.
func validArgument(v any) error {
	switch v := v.(type) {
	case error:
		return v
	case Signature:
		return validSignature(&v)
	case []Signature:
		for i := range v {
			if err := validSignature(&v[i]); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	}
	return nil
}
