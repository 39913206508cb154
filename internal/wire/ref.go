package wire

import (
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// EncodeRefs writes result tuples as the JSON array that Celery keeps as children (celery/result.py, as_tuple); nil is null.
func EncodeRefs(refs []task.Ref) (codec.Raw, error) {
	return deep(codec.JSON{}).Marshal(childrenValue(refs))
}

// EncodeRef writes one result tuple: [[id, parent], null], or for a group [[id, parent], [member, …]].
func EncodeRef(ref task.Ref) (codec.Raw, error) { return deep(codec.JSON{}).Marshal(tuple(ref)) }

func tuples(refs []task.Ref) []any {
	list := make([]any, len(refs))
	for i, ref := range refs {
		list[i] = tuple(ref)
	}
	return list
}

func tuple(ref task.Ref) []any {
	var parent, members any
	if ref.Parent != nil {
		parent = tuple(*ref.Parent)
	}
	if ref.Group {
		members = tuples(ref.Members)
	}
	return []any{[]any{ref.ID, parent}, members}
}

// maxRefDepth bounds how deep result tuples nest: parents of parents, groups in groups.
const maxRefDepth = 1000

// deep is the codec for what holds result tuples: each level of theirs is two lists, and a long chain is a long line of parents.
func deep(c codec.Codec) codec.Codec { return codec.WithMaxDepth(c, 2*maxRefDepth+codec.MaxDepth) }

// DecodeRefs reads what EncodeRefs writes, in any codec, nil for JSON; null is nil, and so is nothing.
func DecodeRefs(raw codec.Raw, c codec.Codec) ([]task.Ref, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []any
	if err := deep(orJSON(c)).Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("wire: result tuples: %w", err)
	}
	if list == nil {
		return nil, nil
	}
	return refs(list, 0)
}

// DecodeRef reads what EncodeRef writes, in any codec; nil is JSON.
func DecodeRef(raw codec.Raw, c codec.Codec) (task.Ref, error) {
	var v any
	if err := deep(orJSON(c)).Unmarshal(raw, &v); err != nil {
		return task.Ref{}, fmt.Errorf("wire: result tuple: %w", err)
	}
	return ref(v, 0)
}

// EncodeGroup writes a group as Celery's key-value stores keep it under its id: {"result": [[id, parent], [member, …]]}
// (celery/backends/base.py, _save_group). A nil codec is JSON.
func EncodeGroup(group task.Ref, c codec.Codec) ([]byte, error) {
	if !group.Group {
		return nil, fmt.Errorf("wire: encode group: %s is a task", group.ID)
	}
	body, err := document{anything("result", tuple(group))}.encode(orJSON(c))
	if err != nil {
		return nil, fmt.Errorf("wire: encode group %s: %w", group.ID, err)
	}
	return body, nil
}

// DecodeGroup reads what EncodeGroup writes.
func DecodeGroup(body []byte, c codec.Codec) (task.Ref, error) {
	var doc map[string]any
	if err := deep(orJSON(c)).Unmarshal(body, &doc); err != nil {
		return task.Ref{}, fmt.Errorf("wire: decode group: %w", err)
	}
	group, err := ref(doc["result"], 0)
	if err != nil {
		return task.Ref{}, fmt.Errorf("wire: decode group: %w", err)
	}
	if !group.Group {
		return task.Ref{}, fmt.Errorf("wire: decode group: %s is a task", group.ID)
	}
	return group, nil
}

func refs(list []any, depth int) ([]task.Ref, error) {
	out := make([]task.Ref, len(list))
	for i, v := range list {
		var err error
		if out[i], err = ref(v, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ref reads a tuple; an id alone is one, too (celery/result.py, result_from_tuple).
func ref(v any, depth int) (task.Ref, error) {
	if id, ok := v.(string); ok {
		return task.Ref{ID: id}, nil
	}
	pair, ok := v.([]any)
	if !ok || len(pair) != 2 || depth > maxRefDepth {
		return task.Ref{}, fmt.Errorf("wire: %s is no result tuple", describe(v))
	}
	var out task.Ref
	switch head := pair[0].(type) {
	case string:
		out.ID = head
	case []any:
		if len(head) != 2 {
			return task.Ref{}, fmt.Errorf("wire: %s is no result tuple", describe(v))
		}
		out.ID, _ = head[0].(string)
		if head[1] != nil {
			parent, err := ref(head[1], depth+1)
			if err != nil {
				return task.Ref{}, err
			}
			out.Parent = &parent
		}
	}
	if out.ID == "" {
		return task.Ref{}, errors.New("wire: a result tuple has no id")
	}
	var err error
	if members, group := pair[1].([]any); group {
		out.Group = true
		if len(members) > 0 {
			out.Members, err = refs(members, depth+1)
		}
	}
	return out, err
}
