package cli

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// What comes in front of the arguments of a call, as a tree shows it.
const (
	nothing   = ""
	aResult   = "…"
	aFailedID = "id"
)

// boxOf draws a signature; before is what its tasks get in front of their own arguments.
func boxOf(s task.Signature, before string) box {
	if s.Immutable {
		before = nothing
	}
	b := box{cells: []string{strings.Join(optionsText(s), "  ")}}
	switch s.Type {
	case "chain":
		b.label = "chain"
		for i, part := range s.Tasks {
			if i > 0 {
				before = aResult
			}
			step := boxOf(part, before)
			step.label = strconv.Itoa(i+1) + ". " + step.label
			if part.Type == "group" && i < len(s.Tasks)-1 {
				step.cells[0] = joinTexts("the next step waits for all", step.cells[0])
			}
			b.children = append(b.children, step)
		}
	case "group":
		b.label = "group"
		b.children = boxesOf(s.Tasks, before)
	case "chord":
		b = chordBox(s, before, b)
	default:
		b = taskBox(s, before, b)
	}
	b.children = append(b.children, followerBoxes(s)...)
	return b
}

func boxesOf(list []task.Signature, before string) []box {
	boxes := make([]box, len(list))
	for i, s := range list {
		boxes[i] = boxOf(s, before)
	}
	return boxes
}

func chordBox(s task.Signature, before string, b box) box {
	header := s.Tasks
	b.label = "chord"
	if len(header) == 1 && header[0].Type == "group" {
		b.cells[0] = joinTexts(b.cells[0], strings.Join(optionsText(header[0]), "  "))
		header = header[0].Tasks
	}
	b.children = boxesOf(header, before)
	if s.Body != nil {
		body := boxOf(*s.Body, aResult)
		body.label = "then " + body.label
		b.children = append(b.children, body)
	}
	return b
}

// taskBox draws a call; a map is drawn as what it calls.
func taskBox(s task.Signature, before string, b box) box {
	b.label = callText(s, before)
	mapped, ok := s.Kwargs["task"].(task.Signature)
	if !ok || !isMap(s.Task) {
		return b
	}
	items := reflect.ValueOf(s.Kwargs["it"])
	count := "items that come later"
	if items.Kind() == reflect.Slice {
		count = counted(items.Len(), "item")
	}
	b.label = strings.TrimPrefix(s.Task, "celery.") + " " + callText(mapped, aResult)
	if n, given := s.Kwargs["n"]; given {
		count += fmt.Sprintf(" in parts of %v", n)
	}
	b.cells[0] = joinTexts(count, b.cells[0])
	return b
}

// followerBoxes are what is called after a signature because its options say so.
func followerBoxes(s task.Signature) []box {
	var boxes []box
	add := func(label string, list []task.Signature, before string) {
		for _, follower := range list {
			b := boxOf(follower, before)
			b.label = label + b.label
			boxes = append(boxes, b)
		}
	}
	add("on success: ", s.Link, aResult)
	add("next: ", s.Chain, aResult)
	add("on error: ", s.LinkError, aFailedID)
	if s.Chord != nil {
		add("then, with its group: ", []task.Signature{*s.Chord}, aResult)
	}
	return boxes
}

// callText is a call as Celery prints it, with what comes in front of its arguments.
func callText(s task.Signature, before string) string {
	var args []string
	if before != nothing && !s.Immutable {
		args = append(args, before)
	}
	for _, v := range s.Args {
		args = append(args, argumentText(v))
	}
	names := make([]string, 0, len(s.Kwargs))
	for name := range s.Kwargs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, name+"="+argumentText(s.Kwargs[name]))
	}
	if s.ArgsRepr != "" || s.KwargsRepr != "" { // what is not to be shown
		hidden := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(s.ArgsRepr, "("), ")"), ",")
		args = slices.DeleteFunc([]string{hidden, s.KwargsRepr}, func(text string) bool { return text == "" })
	}
	return cutRunes(s.Task+"("+strings.Join(args, ", "), 80) + ")"
}

func argumentText(v any) string {
	if s, ok := v.(task.Signature); ok {
		return callText(s, nothing)
	}
	return cutRunes(task.Repr(v), 40)
}

// optionsText are the options of a signature that are set, each in a few letters.
func optionsText(s task.Signature) []string {
	var texts []string
	add := func(name string, value any, set bool) {
		if set {
			texts = append(texts, fmt.Sprintf("%s=%v", name, value))
		}
	}
	add("id", s.ID, s.ID != "")
	add("queue", s.Queue, s.Queue != "")
	add("exchange", s.Exchange, s.Exchange != "")
	add("routing_key", s.RoutingKey, s.RoutingKey != "")
	add("priority", s.Priority, s.Priority != 0)
	add("countdown", s.Countdown, s.Countdown > 0)
	add("eta", s.ETA.UTC().Format(time.RFC3339), !s.ETA.IsZero())
	add("expires", s.Expires.UTC().Format(time.RFC3339), !s.Expires.IsZero())
	add("expires", s.ExpiresIn, s.ExpiresIn > 0)
	add("time_limit", s.TimeLimit, s.TimeLimit > 0)
	add("soft_time_limit", s.SoftTimeLimit, s.SoftTimeLimit > 0)
	add("serializer", s.Serializer, s.Serializer != "")
	add("group_id", s.GroupID, s.GroupID != "")
	add("retries", s.Retries, s.Retries > 0)
	for _, name := range s.StampedHeaders {
		add(name, s.Stamps[name], true)
	}
	if s.IgnoreResult {
		texts = append(texts, "no result")
	}
	if s.Immutable && !isMap(s.Task) {
		texts = append(texts, "immutable")
	}
	return texts
}

func joinTexts(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "  " + b
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func cutRunes(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
