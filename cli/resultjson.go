package cli

import (
	"encoding/json"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// outcome is a result as -o json prints it: all that is stored.
type outcome struct {
	ID        string          `json:"id"`
	State     task.State      `json:"state"`
	Result    json.RawMessage `json:"result"`
	Error     *failure        `json:"error,omitempty"`
	Traceback string          `json:"traceback,omitempty"`
	DoneAt    *time.Time      `json:"done_at,omitempty"`
	Children  []reference     `json:"children,omitempty"`
	GroupID   string          `json:"group_id,omitempty"`
	ParentID  string          `json:"parent_id,omitempty"`
	*extended
}

type failure struct {
	Type    string `json:"type"`
	Module  string `json:"module"`
	Message string `json:"message"`
	Args    []any  `json:"args,omitempty"`
}

// reference is a task, or a group, that was sent.
type reference struct {
	ID      string      `json:"id"`
	Group   bool        `json:"group,omitempty"`
	Members []reference `json:"members,omitempty"`
}

// extended is there when the worker was told to store it. Of the arguments a store keeps the values or a text for people.
type extended struct {
	Task       string          `json:"task"`
	Args       json.RawMessage `json:"args,omitempty"`
	Kwargs     json.RawMessage `json:"kwargs,omitempty"`
	ArgsRepr   string          `json:"args_repr,omitempty"`
	KwargsRepr string          `json:"kwargs_repr,omitempty"`
	Worker     string          `json:"worker"`
	Retries    int             `json:"retries"`
	Queue      string          `json:"queue"`
	Stamps     map[string]any  `json:"stamps,omitempty"`
}

func jsonOutcome(meta task.Meta, remote *task.RemoteError) outcome {
	o := outcome{
		ID: meta.ID, State: meta.State, Traceback: meta.Traceback, Result: json.RawMessage("null"),
		GroupID: meta.GroupID, ParentID: meta.ParentID, Children: references(meta.Children),
	}
	if !meta.DoneAt.IsZero() {
		done := meta.DoneAt.UTC()
		o.DoneAt = &done
	}
	if x := meta.Extended; x != nil {
		o.extended = &extended{
			Task: x.Name, ArgsRepr: x.ArgsRepr, KwargsRepr: x.KwargsRepr, Worker: x.Worker, Retries: x.Retries, Queue: x.Queue, Stamps: x.Stamps,
		}
		if x.Args != nil {
			o.Args = asJSON(meta.Codec, x.Args)
		}
		if x.Kwargs != nil {
			o.Kwargs = asJSON(meta.Codec, x.Kwargs)
		}
	}
	if remote != nil {
		o.Error = &failure{Type: remote.Type, Module: remote.Module, Message: remote.Message, Args: remote.Args}
		return o
	}
	o.Result = rawResult(meta)
	return o
}

func references(refs []task.Ref) []reference {
	var list []reference
	for _, ref := range refs {
		list = append(list, reference{ID: ref.ID, Group: ref.Group, Members: references(ref.Members)})
	}
	return list
}

// rawResult is the result as JSON.
func rawResult(meta task.Meta) json.RawMessage { return asJSON(meta.Codec, meta.Result) }

// asJSON is an encoded value as JSON; a nil codec is JSON. What cannot be written so is null.
func asJSON(c codec.Codec, raw codec.Raw) json.RawMessage {
	if c == nil {
		c = codec.JSON{}
	}
	if c.ContentType() == (codec.JSON{}).ContentType() && json.Valid(raw) {
		return json.RawMessage(raw)
	}
	var value any
	if c.Unmarshal(raw, &value) == nil {
		if encoded, err := json.Marshal(value); err == nil {
			return encoded
		}
	}
	return json.RawMessage("null")
}
