package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// fields are the values of Celery's own headers.
type fields struct {
	lang, task, id, shadow, eta, expires, group, groupIndex, retries, timeLimit, rootID, parentID, argsRepr, kwargsRepr, origin any
	ignoreResult, replacedNesting, stampedHeaders, stamps, compression, meth                                                    any
}

// of returns the place of a header, nil for one that is not Celery's.
func (f *fields) of(header string) *any {
	switch header {
	case "lang":
		return &f.lang
	case "task":
		return &f.task
	case "id":
		return &f.id
	case "shadow":
		return &f.shadow
	case "eta":
		return &f.eta
	case "expires":
		return &f.expires
	case "group":
		return &f.group
	case "group_index":
		return &f.groupIndex
	case "retries":
		return &f.retries
	case "timelimit":
		return &f.timeLimit
	case "root_id":
		return &f.rootID
	case "parent_id":
		return &f.parentID
	case "argsrepr":
		return &f.argsRepr
	case "kwargsrepr":
		return &f.kwargsRepr
	case "origin":
		return &f.origin
	case "ignore_result":
		return &f.ignoreResult
	case "replaced_task_nesting":
		return &f.replacedNesting
	case "stamped_headers":
		return &f.stampedHeaders
	case "stamps":
		return &f.stamps
	case "compression":
		return &f.compression
	case "meth":
		return &f.meth
	}
	return nil
}

// known reports whether a header is one of Celery's own; the others are custom.
func known(header string) bool { return new(fields).of(header) != nil }

// OwnPrefix starts the headers in which taskq notes how a message fared: on its way to the dead letters and in quarantine, or while it
// waits for limits of its task. They are no part of the call.
const OwnPrefix = "x-taskq-"

// deadLettered reports whether a header is one that RabbitMQ adds to a message that went through a dead-letter exchange or came
// back.
func deadLettered(header string) bool {
	return header == "x-death" || header == "x-delivery-count" || header == "x-acquired-count" ||
		strings.HasPrefix(header, "x-first-death-") || strings.HasPrefix(header, "x-last-death-")
}

// reader reads the fields of a task message, wherever its protocol keeps them, and remembers the first that makes no sense.
type reader struct {
	table broker.Table
	own   fields // in place of a table
	err   error
}

func (r *reader) at(name string) any {
	if r.table != nil {
		return r.table[name]
	}
	if place := r.own.of(name); place != nil {
		return *place
	}
	return nil
}

// sort looks at each header once. It returns the custom ones, which neither Celery nor taskq knows; nil when there are none.
func (r *reader) sort(headers broker.Table) (custom map[string]any) {
	for k, v := range headers {
		if own := r.own.of(k); own != nil {
			*own = v
			continue
		}
		if strings.HasPrefix(k, OwnPrefix) {
			continue
		}
		if custom == nil {
			custom = make(map[string]any, len(headers))
		}
		custom[k] = v
	}
	return custom
}

func (r *reader) fail(name, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s is %s, want %s", name, describe(r.at(name)), want)
	}
}

// describe shows an odd field, not at length.
func describe(v any) string {
	text := task.Repr(v)
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// identify reads what a reply needs, as far as it can be read.
func identify(req *task.Request, table broker.Table) {
	r := reader{table: table}
	req.ID = r.text("id")
	req.Name = r.note("task")
	req.RootID, req.ParentID, req.Group = r.note("root_id"), r.note("parent_id"), r.note("group")
}

// read fills the request from the fields.
func (r *reader) read(req *task.Request) error {
	req.Name = r.text("task")
	req.ID = r.text("id")
	req.RootID, req.ParentID, req.Group = r.text("root_id"), r.text("parent_id"), r.text("group")
	req.GroupIndex = r.integer("group_index", -1)
	req.Retries = r.integer("retries", 0)
	req.ETA, req.Expires = r.time("eta"), r.time("expires")
	req.TimeLimit, req.SoftTimeLimit = r.timeLimits()
	r.wish(req)
	req.Shadow, req.Origin = r.note("shadow"), r.note("origin")
	req.ArgsRepr, req.KwargsRepr = r.note("argsrepr"), r.note("kwargsrepr")
	req.ReplacedNesting = r.integer("replaced_task_nesting", 0)
	req.StampedHeaders, req.Stamps = r.stampNames(), r.stamps()
	switch {
	case r.err != nil:
		return r.err
	case req.Name == "":
		return errors.New("it names no task")
	case req.ID == "":
		return errors.New("it has no id")
	case req.Retries < 0:
		return fmt.Errorf("retries is %d, want 0 or more", req.Retries)
	}
	return nil
}

// text reads an id or a name; a number stands for its digits, as in Celery.
func (r *reader) text(name string) string {
	switch v := r.at(name).(type) {
	case nil:
		return ""
	case string:
		if utf8.ValidString(v) {
			return v
		}
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
	default:
		if n, ok := integer(v); ok {
			return strconv.FormatInt(n, 10)
		}
	}
	r.fail(name, "text in UTF-8")
	return ""
}

// note reads a text that is for people only: what is none is left out.
func (r *reader) note(name string) string {
	s, _ := r.at(name).(string)
	return s
}

// integer reads a number that fits the 32 bits it is sent in again.
func (r *reader) integer(name string, missing int) int {
	v := r.at(name)
	if v == nil {
		return missing
	}
	n, ok := integer(v)
	if s, isText := v.(string); isText { // Celery takes "1" for 1
		parsed, err := strconv.ParseInt(s, 10, 32)
		n, ok = parsed, err == nil
	}
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		r.fail(name, "a small integer")
		return missing
	}
	return int(n)
}

// wish reads whether the outcome is wanted, or whether that is left to the task.
func (r *reader) wish(req *task.Request) {
	req.IgnoreResult = r.flag("ignore_result")
	req.KeepResult = !req.IgnoreResult && r.at("ignore_result") != nil
}

func (r *reader) flag(name string) bool {
	switch v := r.at(name).(type) {
	case nil:
		return false
	case bool:
		return v
	default:
		if n, ok := integer(v); ok {
			return n != 0
		}
	}
	r.fail(name, "a bool")
	return false
}

// time reads an ISO 8601 time; one without a zone is UTC.
func (r *reader) time(name string) time.Time {
	switch v := r.at(name).(type) {
	case nil:
		return time.Time{}
	case time.Time:
		return v
	case string:
		if t, err := codec.ParseTime(v); err == nil {
			return t
		}
	}
	r.fail(name, "an ISO 8601 time")
	return time.Time{}
}

// timeLimits reads [hard, soft] in seconds, either of them null or 0 for none.
func (r *reader) timeLimits() (hard, soft time.Duration) {
	v := r.at("timelimit")
	if v == nil {
		return 0, 0
	}
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		r.fail("timelimit", "[hard, soft] in seconds")
		return 0, 0
	}
	hard, hardOK := seconds(list[0])
	soft, softOK := seconds(list[1])
	if !hardOK || !softOK {
		r.fail("timelimit", "[hard, soft] in seconds")
	}
	return hard, soft
}

func seconds(v any) (time.Duration, bool) {
	if v == nil {
		return 0, true
	}
	f, ok := number(v)
	if !ok || !(f >= 0) || f > math.MaxInt64/float64(time.Second)/2 {
		return 0, false
	}
	return time.Duration(f * float64(time.Second)), true
}

func (r *reader) stampNames() (names []string) {
	switch list := r.at("stamped_headers").(type) {
	case nil:
	case []any:
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				r.fail("stamped_headers", "a list of names")
			}
			names = append(names, s)
		}
	default:
		r.fail("stamped_headers", "a list of names")
	}
	return slices.Clip(names)
}

func (r *reader) stamps() map[string]any {
	stamps, ok := r.at("stamps").(map[string]any)
	if !ok && r.at("stamps") != nil {
		r.fail("stamps", "a table")
	}
	if len(stamps) == 0 {
		stamps = nil
	}
	return stamps
}
