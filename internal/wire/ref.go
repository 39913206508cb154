package wire

import (
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// EncodeRefs writes result tuples as the JSON array that Celery keeps as children (celery/result.py, as_tuple).
func EncodeRefs(refs []task.Ref) (codec.Raw, error) { return codec.JSON{}.Marshal(tuples(refs)) }

// EncodeRef writes one result tuple: [[id, parent], null], or for a group [[id, parent], [member, …]].
func EncodeRef(ref task.Ref) (codec.Raw, error) { return codec.JSON{}.Marshal(tuple(ref)) }

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

// DecodeRefs reads what EncodeRefs writes; null is none, and so is nothing.
func DecodeRefs(raw codec.Raw) ([]task.Ref, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []any
	if err := (codec.JSON{}).Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("wire: result tuples: %w", err)
	}
	return refs(list, 0)
}

// DecodeRef reads what EncodeRef writes.
func DecodeRef(raw codec.Raw) (task.Ref, error) {
	var v any
	if err := (codec.JSON{}).Unmarshal(raw, &v); err != nil {
		return task.Ref{}, fmt.Errorf("wire: result tuple: %w", err)
	}
	return ref(v, 0)
}

func refs(list []any, depth int) ([]task.Ref, error) {
	if len(list) == 0 {
		return nil, nil
	}
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
		out.Members, err = refs(members, depth+1)
	}
	return out, err
}
