package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// dict is a signature as messages carry it (celery/canvas.py, Signature).
type dict struct {
	Task      string         `json:"task"`
	Args      []any          `json:"args"`
	Kwargs    map[string]any `json:"kwargs"`
	Options   map[string]any `json:"options"`
	Type      *string        `json:"subtask_type"`
	Immutable bool           `json:"immutable"`
}

// maxSignatureDepth bounds how deep signatures hang in each other's options.
const maxSignatureDepth = 64

// EncodeSignature writes a call for later as Celery does, with the options that are set. Arguments that are codec.Raw must be encoded
// by c.
func EncodeSignature(s task.Signature, c codec.Codec) (codec.Raw, error) {
	return marshalSignature(c, func() (any, error) { return dictOf(s, 0) })
}

// EncodeSignatures writes a list of calls in its order. A nil list is nil, an empty one is [].
func EncodeSignatures(list []task.Signature, c codec.Codec) (codec.Raw, error) {
	if list == nil {
		return nil, nil
	}
	return marshalSignature(c, func() (any, error) { return dicts(list, 0) })
}

func marshalSignature(c codec.Codec, doc func() (any, error)) (codec.Raw, error) {
	v, err := doc()
	if err != nil {
		return nil, fmt.Errorf("wire: encode signature: %w", err)
	}
	raw, err := c.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wire: encode signature: %w", err)
	}
	return raw, nil
}

func dicts(list []task.Signature, depth int) ([]dict, error) {
	out := make([]dict, len(list))
	for i, s := range list {
		var err error
		if out[i], err = dictOf(s, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func dictOf(s task.Signature, depth int) (dict, error) {
	switch {
	case s.Task == "":
		return dict{}, errors.New("it names no task")
	case depth > maxSignatureDepth:
		return dict{}, fmt.Errorf("%s: signatures nest deeper than %d", s.Task, maxSignatureDepth)
	}
	options, err := optionsOf(&s.CallOptions, depth)
	if err != nil {
		return dict{}, fmt.Errorf("%s: %w", s.Task, err)
	}
	d := dict{Task: s.Task, Args: make([]any, len(s.Args)), Options: options, Immutable: s.Immutable}
	for i, v := range s.Args {
		if d.Args[i], err = valueOf(v, depth); err != nil {
			return dict{}, fmt.Errorf("%s: args[%d]: %w", s.Task, i, err)
		}
	}
	if d.Kwargs, err = kwargsOf(s, depth); err != nil {
		return dict{}, fmt.Errorf("%s: %w", s.Task, err)
	}
	if s.Type != "" {
		d.Type = &s.Type
	}
	return d, nil
}

// kwargsOf puts what a workflow is made of among its keyword arguments, where Celery has it, and writes the calls that are values there.
func kwargsOf(s task.Signature, depth int) (map[string]any, error) {
	kwargs := make(map[string]any, len(s.Kwargs)+2)
	for name, v := range s.Kwargs {
		var err error
		if kwargs[name], err = valueOf(v, depth); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	name := partsOf(s.Type)
	if name == "" {
		return kwargs, nil
	}
	tasks, err := dicts(s.Tasks, depth+1)
	if err != nil {
		return nil, err
	}
	kwargs[name] = tasks
	if s.Type != "chord" {
		return kwargs, nil
	}
	if len(tasks) == 1 && s.Tasks[0].Type == "group" && len(tasks[0].Options) > 0 {
		kwargs[name] = tasks[0] // as Celery has it once it has given the header ids
	}
	if s.Body != nil {
		if kwargs["body"], err = dictOf(*s.Body, depth+1); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	if _, given := kwargs["kwargs"]; !given {
		kwargs["kwargs"] = map[string]any{}
	}
	return kwargs, nil
}

// partsOf is the keyword argument that holds the parts of a workflow of the type, "" for a task.
func partsOf(kind string) string {
	switch kind {
	case "chain", "group":
		return "tasks"
	case "chord":
		return "header"
	}
	return ""
}

// valueOf is an argument as it is written: calls may be arguments of a task, as that of celery.map is.
func valueOf(v any, depth int) (any, error) {
	switch v := v.(type) {
	case task.Signature:
		return dictOf(v, depth+1)
	case []task.Signature:
		return dicts(v, depth+1)
	}
	return v, nil
}

// optionsOf names the options that are set as Task.apply_async does (celery/app/base.py, send_task; celery/app/amqp.py).
func optionsOf(o *task.CallOptions, depth int) (map[string]any, error) {
	options := map[string]any{}
	for name, text := range map[string]string{
		"task_id": o.ID, "queue": o.Queue, "exchange": o.Exchange, "routing_key": o.RoutingKey, "shadow": o.Shadow,
		"serializer": o.Serializer, "root_id": o.RootID, "parent_id": o.ParentID, "group_id": o.GroupID, "reply_to": o.ReplyTo,
		"argsrepr": o.ArgsRepr, "kwargsrepr": o.KwargsRepr,
		"message_id": o.Properties.MessageID, "type": o.Properties.Type, "app_id": o.Properties.AppID,
	} {
		if text != "" {
			options[name] = text
		}
	}
	for name, n := range map[string]int{"priority": int(o.Priority), "retries": o.Retries, "replaced_task_nesting": o.ReplacedNesting} {
		if n != 0 {
			options[name] = n
		}
	}
	if o.GroupID != "" && o.GroupIndex >= 0 || asks(o, task.GroupIndex(0)) {
		options["group_index"] = o.GroupIndex
	}
	if o.Compression != "" && o.Compression != "none" { // Python has no name for none
		options["compression"] = o.Compression
	}
	if len(o.Headers) > 0 {
		options["headers"] = o.Headers
	}
	wishesOf(o, options)
	timesOf(o, options)
	if err := followersOf(o, options, depth); err != nil {
		return nil, err
	}
	return options, stampsOf(o, options)
}

// wishesOf sets the options of which a zero may be a wish of its own.
func wishesOf(o *task.CallOptions, options map[string]any) {
	if asks(o, task.Priority(0)) {
		options["priority"] = int(o.Priority)
	}
	if o.IgnoreResult || asks(o, task.KeepResult()) {
		options["ignore_result"] = o.IgnoreResult
	}
	switch {
	case o.Transient:
		options["delivery_mode"] = 1
	case asks(o, task.Persistent()):
		options["delivery_mode"] = 2
	}
	if o.Detached {
		options["add_to_parent"] = false
	}
}

// asks reports whether the call asks for what the option sets, be it a zero.
func asks(o *task.CallOptions, option task.CallOption) bool {
	var alone task.CallOptions
	option(&alone)
	return o.Given&alone.Given != 0
}

// timesOf sets the options that are times, as text, and durations, in seconds.
func timesOf(o *task.CallOptions, options map[string]any) {
	for name, d := range map[string]time.Duration{
		"countdown": o.Countdown, "expires": o.ExpiresIn, "time_limit": o.TimeLimit, "soft_time_limit": o.SoftTimeLimit,
	} {
		if d > 0 {
			options[name] = inSeconds(d)
		}
	}
	for name, t := range map[string]time.Time{"eta": o.ETA, "expires": o.Expires} {
		if !t.IsZero() {
			options[name] = isoformat(t)
		}
	}
	if !o.Properties.Timestamp.IsZero() {
		options["timestamp"] = o.Properties.Timestamp.Unix()
	}
}

// followersOf sets the options that are signatures. A chain is written with its last step first.
func followersOf(o *task.CallOptions, options map[string]any, depth int) error {
	chain := slices.Clone(o.Chain)
	slices.Reverse(chain)
	for name, list := range map[string][]task.Signature{"link": o.Link, "link_error": o.LinkError, "chain": chain} {
		if list == nil || len(list) == 0 && name != "chain" {
			continue
		}
		docs, err := dicts(list, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		options[name] = docs
	}
	if o.Chord == nil {
		return nil
	}
	body, err := dictOf(*o.Chord, depth+1)
	if err != nil {
		return fmt.Errorf("chord: %w", err)
	}
	options["chord"] = body
	return nil
}

// stampsOf sets the stamps, which stand among the options.
func stampsOf(o *task.CallOptions, options map[string]any) error {
	names := stampNames(o.StampedHeaders, o.Stamps)
	for _, name := range names {
		value, stamped := o.Stamps[name]
		_, isOption := options[name]
		switch {
		case isOption || !stamped:
		case isCallOption(name):
			return fmt.Errorf("stamp %s: the name is that of an option", name)
		default:
			options[name] = value
		}
	}
	if names != nil {
		options["stamped_headers"] = names
	}
	return nil
}

// stampNames are the names of the stamps: those that are given, then those that only have a value.
func stampNames(names []string, stamps map[string]any) []string {
	all := slices.Clone(names)
	for name := range stamps {
		if !slices.Contains(names, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all[len(names):])
	return all
}

// isCallOption reports whether a name among a signature's options is one that means something to Celery.
func isCallOption(name string) bool {
	switch name {
	case "task_id", "queue", "exchange", "routing_key", "shadow", "serializer", "compression", "root_id", "parent_id", "group_id",
		"group_index", "reply_to", "argsrepr", "kwargsrepr", "message_id", "type", "app_id", "timestamp", "priority", "retries",
		"replaced_task_nesting", "ignore_result", "delivery_mode", "add_to_parent", "headers", "countdown", "eta", "expires",
		"time_limit", "soft_time_limit", "link", "link_error", "chain", "chord", "stamped_headers":
		return true
	}
	return false
}
