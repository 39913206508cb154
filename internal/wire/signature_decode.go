package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// DecodeSignature reads a call for later. It takes what Celery takes, and also one without options, over which Celery's worker fails
// once the task has run: all parts but the task's name may be missing or null, unknown options are left out. The arguments stay
// encoded, as codec.Raw, and alias raw.
//
// An expiry in the past becomes the shortest one. Without an index in its group a signature has the index -1.
func DecodeSignature(raw codec.Raw, c codec.Codec) (task.Signature, error) {
	s, err := newSignatures(raw, c).signature(raw, 0)
	if err != nil {
		return task.Signature{}, fmt.Errorf("wire: decode signature: %w", err)
	}
	return s, nil
}

// DecodeSignatures reads a list of calls in its order: a chain has its next step last. Nothing and null are nil, a single call is a
// list of it.
func DecodeSignatures(raw codec.Raw, c codec.Codec) ([]task.Signature, error) {
	if raw == nil {
		return nil, nil
	}
	list, err := newSignatures(raw, c).list(raw, 0)
	if err != nil {
		return nil, fmt.Errorf("wire: decode signatures: %w", err)
	}
	return list, nil
}

// signatures reads signatures and what hangs on them.
type signatures struct {
	payload
	left   int                        // bytes that may still be looked at: each level of nesting looks at all that is below
	bodies map[string]*task.Signature // those of chords that have been read
}

func newSignatures(raw codec.Raw, c codec.Codec) *signatures {
	return &signatures{payload: payload{codec: c}, left: 8*len(raw) + 1<<20}
}

func (d *signatures) list(raw codec.Raw, depth int) ([]task.Signature, error) {
	var parts []codec.Raw
	if err := d.codec.Unmarshal(raw, &parts); err != nil {
		s, single := d.signature(raw, depth)
		if single != nil {
			return nil, errors.Join(err, single)
		}
		return []task.Signature{s}, nil
	}
	if parts == nil {
		return nil, nil
	}
	list := make([]task.Signature, len(parts))
	for i, part := range parts {
		var err error
		if list[i], err = d.signature(part, depth); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return list, nil
}

func (d *signatures) signature(raw codec.Raw, depth int) (task.Signature, error) {
	if d.left -= len(raw); d.left < 0 || depth > maxSignatureDepth {
		return task.Signature{}, errors.New("signatures nest too deep")
	}
	var members map[string]codec.Raw
	if err := d.codec.Unmarshal(raw, &members); err != nil {
		return task.Signature{}, err
	}
	r, err := d.scalars(members, "task", "subtask_type", "immutable")
	if err != nil {
		return task.Signature{}, err
	}
	s := task.Signature{Task: r.text("task"), Type: r.text("subtask_type"), Immutable: r.flag("immutable")}
	switch {
	case r.err != nil:
		return task.Signature{}, r.err
	case s.Task == "":
		return task.Signature{}, errors.New("it names no task")
	}
	if err = d.call(&s, members, depth); err == nil {
		err = d.options(&s.CallOptions, members["options"], depth)
	}
	if err != nil {
		return task.Signature{}, fmt.Errorf("%s: %w", s.Task, err)
	}
	return s, nil
}

// call reads the arguments, and what a workflow is made of.
func (d *signatures) call(s *task.Signature, members map[string]codec.Raw, depth int) error {
	var args []codec.Raw
	var kwargs map[string]codec.Raw
	if raw := members["args"]; raw != nil {
		if err := d.codec.Unmarshal(raw, &args); err != nil {
			return fmt.Errorf("args: %w", err)
		}
	}
	if raw := members["kwargs"]; raw != nil {
		if err := d.codec.Unmarshal(raw, &kwargs); err != nil {
			return fmt.Errorf("kwargs: %w", err)
		}
	}
	if err := d.parts(s, kwargs, depth); err != nil {
		return err
	}
	s.Args = make([]any, len(args))
	for i, raw := range args {
		s.Args[i] = raw
	}
	s.Kwargs = make(map[string]any, len(kwargs))
	for name, raw := range kwargs {
		s.Kwargs[name] = raw
	}
	return nil
}

// parts takes what a workflow is made of from its keyword arguments.
func (d *signatures) parts(s *task.Signature, kwargs map[string]codec.Raw, depth int) (err error) {
	name := partsOf(s.Type)
	if name == "" {
		return nil
	}
	if raw := kwargs[name]; raw != nil {
		if s.Tasks, err = d.list(raw, depth+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		delete(kwargs, name)
	}
	if s.Type != "chord" {
		return nil
	}
	if s.Body, err = d.body(kwargs["body"], depth+1); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if s.Body != nil {
		delete(kwargs, "body")
	}
	return nil
}

// body reads the body of a chord, nil for null and for nothing. Celery puts it on each task of the header, and on the header, and so
// with each chord in it four times and more: what has been read already is taken as it is.
func (d *signatures) body(raw codec.Raw, depth int) (*task.Signature, error) {
	if codec.IsNull(d.codec, raw) {
		return nil, nil
	}
	if body, known := d.bodies[string(raw)]; known {
		return body, nil
	}
	body, err := d.signature(raw, depth)
	if err != nil {
		return nil, err
	}
	if d.bodies == nil {
		d.bodies = map[string]*task.Signature{}
	}
	d.bodies[string(raw)] = &body
	return &body, nil
}

func (d *signatures) options(o *task.CallOptions, raw codec.Raw, depth int) error {
	var members map[string]codec.Raw
	if raw != nil {
		if err := d.codec.Unmarshal(raw, &members); err != nil {
			return fmt.Errorf("options: %w", err)
		}
	}
	if len(members) == 0 {
		return nil
	}
	for _, f := range []struct {
		name string
		dst  *[]task.Signature
	}{{"link", &o.Link}, {"link_error", &o.LinkError}, {"chain", &o.Chain}} {
		if raw := members[f.name]; raw != nil {
			var err error
			if *f.dst, err = d.list(raw, depth+1); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	slices.Reverse(o.Chain)
	var err error
	if o.Chord, err = d.body(members["chord"], depth+1); err != nil {
		return fmt.Errorf("chord: %w", err)
	}
	return d.settings(o, members)
}

// settings reads the options that are no signatures.
func (d *signatures) settings(o *task.CallOptions, members map[string]codec.Raw) error {
	names := make([]string, 0, len(members))
	for name := range members {
		switch name {
		case "link", "link_error", "chain", "chord":
		default:
			names = append(names, name)
		}
	}
	r, err := d.scalars(members, names...)
	if err != nil {
		return err
	}
	r.call(o)
	return r.err
}

// scalars decodes the named members.
func (d *signatures) scalars(members map[string]codec.Raw, names ...string) (*reader, error) {
	r := &reader{table: make(broker.Table, len(names))}
	for _, name := range names {
		raw, ok := members[name]
		if !ok {
			continue
		}
		var v any
		if err := d.codec.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.table[name] = v
	}
	return r, nil
}

// call reads the options of apply_async.
func (r *reader) call(o *task.CallOptions) {
	o.ID, o.Queue, o.Exchange, o.RoutingKey = r.text("task_id"), r.text("queue"), r.text("exchange"), r.text("routing_key")
	o.RootID, o.ParentID, o.ReplyTo = r.text("root_id"), r.text("parent_id"), r.text("reply_to")
	o.GroupID = r.text("group_id")
	if index := r.integer("group_index", -1); index >= 0 {
		task.GroupIndex(index)(o)
	} else if o.GroupID != "" {
		o.GroupIndex = -1
	}
	o.Retries, o.ReplacedNesting = r.count("retries", math.MaxInt32), r.count("replaced_task_nesting", math.MaxInt32)
	o.Shadow, o.ArgsRepr, o.KwargsRepr = r.note("shadow"), r.note("argsrepr"), r.note("kwargsrepr")
	o.Serializer, o.Compression = r.text("serializer"), r.text("compression")
	if o.Compression == "gzip" || o.Compression == "application/x-gzip" {
		o.Compression = "zlib"
	}
	o.Headers, _ = r.table["headers"].(map[string]any)
	o.Properties.MessageID, o.Properties.Type, o.Properties.AppID = r.note("message_id"), r.note("type"), r.note("app_id")
	if n, ok := integer(r.table["timestamp"]); ok {
		o.Properties.Timestamp = time.Unix(n, 0).UTC()
	}
	r.times(o)
	r.wishes(o)
	r.stampOptions(o)
}

func (r *reader) times(o *task.CallOptions) {
	o.Countdown, o.ETA = r.seconds("countdown"), r.time("eta")
	switch n, relative := number(r.table["expires"]); {
	case !relative:
		o.Expires = r.time("expires")
	case n <= 0:
		o.ExpiresIn = 1
	default:
		o.ExpiresIn = r.seconds("expires")
	}
	o.TimeLimit, o.SoftTimeLimit = r.seconds("time_limit"), r.seconds("soft_time_limit")
}

// wishes reads the options of which a zero may be a wish of its own.
func (r *reader) wishes(o *task.CallOptions) {
	o.Priority = uint8(r.count("priority", math.MaxUint8)) //nolint:gosec // bounded
	if o.Priority == 0 && r.table["priority"] != nil {
		task.Priority(0)(o)
	}
	o.IgnoreResult = r.flag("ignore_result")
	if !o.IgnoreResult && r.table["ignore_result"] != nil {
		task.KeepResult()(o)
	}
	switch r.table["delivery_mode"] {
	case int64(1), int32(1), "1", "transient":
		o.Transient = true
	case int64(2), int32(2), "2", "persistent":
		task.Persistent()(o)
	}
	o.Detached = r.table["add_to_parent"] != nil && !r.flag("add_to_parent")
}

// stampOptions reads the stamps, which stand among the options.
func (r *reader) stampOptions(o *task.CallOptions) {
	o.StampedHeaders = r.stampNames()
	for _, name := range o.StampedHeaders {
		if v, ok := r.table[name]; ok && !isCallOption(name) {
			if o.Stamps == nil {
				o.Stamps = make(map[string]any, len(o.StampedHeaders))
			}
			o.Stamps[name] = v
		}
	}
}

// count reads a number that is not negative.
func (r *reader) count(name string, most int) int {
	n := r.integer(name, 0)
	if n < 0 || n > most {
		r.fail(name, fmt.Sprintf("a number from 0 to %d", most))
		return 0
	}
	return n
}

// seconds reads a duration; what is negative is over.
func (r *reader) seconds(name string) time.Duration {
	if n, ok := number(r.table[name]); ok && n < 0 {
		return 0
	}
	d, ok := seconds(r.table[name])
	if !ok {
		r.fail(name, "a number of seconds")
	}
	return d
}
