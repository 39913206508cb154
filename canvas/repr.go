package canvas

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Repr prints a workflow on one line as Celery's repr does, for logs: tasks.add(2, 2) | add(4), group([…]), and %tasks.xsum([…]) for a
// chord with the body tasks.xsum. Options are not shown, and a module only where it comes first. In place of arguments that have an
// ArgsRepr or KwargsRepr it shows that.
func Repr(s task.Signature) string {
	switch {
	case s.Type == "chain" && len(s.Tasks) == 0:
		return "chain(<empty>)"
	case s.Type == "chain":
		return shortened(s.Tasks[0].Task, strings.Join(reprAll(s.Tasks), " | "))
	case s.Type == "group" && len(s.Tasks) == 0:
		return "group(<empty>)"
	case s.Type == "group":
		return shortened(s.Tasks[0].Task, "group("+reprList(s.Tasks)+")")
	case s.Type == "chord":
		return reprChord(s)
	case s.Task == "celery.map":
		return reprEach(s, "x")
	case s.Task == "celery.starmap":
		return reprEach(s, "*x")
	}
	return reprCall(s)
}

func reprChord(s task.Signature) string {
	header := reprList(s.Tasks)
	if len(s.Tasks) == 1 && s.Tasks[0].Type == "group" && !reflect.ValueOf(s.Tasks[0].CallOptions).IsZero() {
		header = reprList(s.Tasks[0].Tasks)
	}
	switch {
	case s.Body == nil:
		return "<chord without body: " + header + ">"
	case s.Body.Type == "chain" && len(s.Body.Tasks) > 0:
		steps := s.Body.Tasks
		text := "%(" + reprCall(steps[0], header)
		if len(steps) > 1 {
			text += " | " + Repr(chainOf(steps[1:]))
		}
		return shortened(steps[0].Task, text+")")
	}
	return "%" + shortened(s.Body.Task, reprCall(*s.Body, header))
}

func reprEach(s task.Signature, item string) string {
	name := "?"
	switch call := reprValue(s.Kwargs["task"]).(type) {
	case task.Signature:
		name = call.Task
	case map[string]any:
		name, _ = call["task"].(string)
	}
	const most = 100 // characters, cut at a space
	items := reprOf(s.Kwargs["it"])
	if runes := []rune(items); len(runes) >= most {
		items = string(runes[:most])
		items = items[:max(0, strings.LastIndexByte(items, ' '))] + "..."
	}
	return "[" + name + "(" + item + ") for x in " + items + "]"
}

// reprCall prints a call with more arguments, printed already, in front of its own.
func reprCall(s task.Signature, args ...string) string {
	if s.ArgsRepr != "" {
		text := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(s.ArgsRepr, "("), ")"), ",")
		if text != "" {
			args = append(args, text)
		}
	} else {
		for _, v := range s.Args {
			args = append(args, reprOf(v))
		}
	}
	switch s.Type {
	case "chain", "group":
		args = append(args, "tasks="+reprList(s.Tasks))
	case "chord":
		args = append(args, "kwargs={}", "header="+reprList(s.Tasks))
		if s.Body != nil {
			args = append(args, "body="+Repr(*s.Body))
		}
		return s.Task + "(" + strings.Join(args, ", ") + ")"
	}
	if s.KwargsRepr != "" {
		args = append(args, "**"+s.KwargsRepr)
	} else {
		for _, name := range slices.Sorted(maps.Keys(s.Kwargs)) {
			args = append(args, name+"="+reprOf(s.Kwargs[name]))
		}
	}
	return s.Task + "(" + strings.Join(args, ", ") + ")"
}

func reprAll(list []task.Signature) []string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = Repr(s)
	}
	return texts
}

func reprList(list []task.Signature) string { return "[" + strings.Join(reprAll(list), ", ") + "]" }

func reprOf(v any) string {
	switch v := reprValue(v).(type) {
	case task.Signature:
		return Repr(v)
	case []task.Signature:
		return reprList(v)
	case codec.Raw:
		return "..." // in a format that the signature does not say
	default:
		return task.Repr(v)
	}
}

// reprValue decodes an argument that came in a message.
func reprValue(v any) any {
	raw, ok := v.(codec.Raw)
	if !ok {
		return v
	}
	var value any
	if err := (codec.JSON{}).Unmarshal(raw, &value); err != nil || !json.Valid(raw) {
		return raw
	}
	return value
}

// shortened leaves out the module of a task wherever it is repeated.
func shortened(name, text string) string {
	module := name[:strings.LastIndexByte(name, '.')+1]
	if module == "" {
		module = "." // as in Celery, for a task that has none
	}
	before, after, found := strings.Cut(text, module)
	if !found {
		return text
	}
	return before + module + strings.ReplaceAll(after, module, "")
}
