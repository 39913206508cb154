package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

const linkExample = `{"task": "tasks.add", "args": [1]}`

// parseLink reads a task's name, or a signature in Celery's JSON.
func parseLink(text string) (task.Signature, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return task.Signature{}, errors.New("the name of the task is empty")
	case !strings.ContainsAny(trimmed[:1], `{["`):
		return task.Signature{Task: trimmed}, nil
	}
	var members map[string]json.RawMessage
	if err := parseJSON(text, &members, "object like "+linkExample); err != nil {
		return task.Signature{}, err
	}
	if err := checkMembers(members, []string{"task", "args", "kwargs", "options", "subtask_type", "immutable"}); err != nil {
		return task.Signature{}, err
	}
	var name string
	if err := json.Unmarshal(members["task"], &name); err != nil || name == "" {
		return task.Signature{}, fmt.Errorf(`"task" must be the name of a task, as in %s`, linkExample)
	}
	if options, ok := members["options"]; ok {
		var given map[string]json.RawMessage
		if err := json.Unmarshal(options, &given); err != nil {
			return task.Signature{}, fmt.Errorf(`"options" must be an object like {"queue": "mail"}, not %s`, cutText(string(options)))
		}
		if err := checkMembers(given, linkOptions()); err != nil {
			return task.Signature{}, err
		}
	}
	s, err := wire.DecodeSignature(codec.Raw(text), codec.JSON{})
	if err != nil {
		return s, errors.New(strings.TrimPrefix(err.Error(), "wire: decode signature: "))
	}
	return s, plainArguments(&s)
}

// plainArguments decodes the arguments of a call, of those that follow it and of its parts: the message may be no JSON. What a map
// calls becomes a signature.
func plainArguments(s *task.Signature) error {
	var err error
	if raw, ok := s.Kwargs["task"].(codec.Raw); ok && isMap(s.Task) {
		mapped, wrong := wire.DecodeSignature(raw, codec.JSON{})
		if wrong != nil {
			return fmt.Errorf("%s: task: %w", s.Task, wrong)
		}
		err = plainArguments(&mapped)
		s.Kwargs["task"] = mapped
	}
	plain := func(v any) any {
		raw, ok := v.(codec.Raw)
		if !ok {
			return v
		}
		var value any
		err = errors.Join(err, parseJSON(string(raw), &value, "value"))
		return value
	}
	for i, v := range s.Args {
		s.Args[i] = plain(v)
	}
	for name, v := range s.Kwargs {
		s.Kwargs[name] = plain(v)
	}
	for _, list := range [][]task.Signature{s.Tasks, s.Link, s.LinkError, s.Chain} {
		for i := range list {
			err = errors.Join(err, plainArguments(&list[i]))
		}
	}
	for _, body := range []*task.Signature{s.Body, s.Chord} {
		if body != nil {
			err = errors.Join(err, plainArguments(body))
		}
	}
	return err
}

// linkOptions are the names of apply_async that a link may have. Stamps cannot be told from mistakes: the flag --stamp is for them.
func linkOptions() []string {
	return []string{
		"task_id", "queue", "exchange", "routing_key", "priority", "countdown", "eta", "expires", "time_limit", "soft_time_limit",
		"ignore_result", "shadow", "headers", "delivery_mode", "serializer", "compression", "link", "link_error", "reply_to",
		"argsrepr", "kwargsrepr", "root_id", "parent_id", "group_id", "group_index",
	}
}

// checkMembers refuses names that a worker would pass over.
func checkMembers(members map[string]json.RawMessage, known []string) error {
	for name := range members {
		if slices.Contains(known, name) {
			continue
		}
		return errors.New(unknownName(name, known))
	}
	return nil
}

func unknownName(name string, known []string) string {
	if near := config.Closest(name, known); near != "" {
		return fmt.Sprintf("unknown name %q; did you mean %q?", name, near)
	}
	return fmt.Sprintf("%q is none of %s", name, strings.Join(known, ", "))
}

// isMap reports whether a task takes another one, by signature, as its argument "task".
func isMap(name string) bool {
	return name == "celery.map" || name == "celery.starmap" || name == "celery.chunks"
}
