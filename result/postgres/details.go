package postgres

import (
	"slices"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// reserved are the names of a result's metadata that no stamp may take: Django's store merges the column meta into the rest
// (django_celery_results/backends/database.py, _get_task_meta_for).
func reserved() []string {
	return []string{
		"task_id", "status", "result", "traceback", "children", "date_done", "group_id", "parent_id", "name", "task_name", "args", "kwargs",
		"task_args", "task_kwargs", "worker", "retries", "queue", "stamped_headers",
	}
}

// encodeDetails writes the column meta: the children and, under Celery's names, what has no column of its own.
func encodeDetails(m task.Meta) (string, error) {
	if m.Extended == nil && m.Children != nil && len(m.Children) == 0 && m.GroupID == "" && m.ParentID == "" { // mostly
		return `{"children":[]}`, nil
	}
	children, err := wire.EncodeRefs(m.Children)
	if err != nil {
		return "", err
	}
	details := map[string]any{}
	if x := m.Extended; x != nil {
		for name, value := range x.Stamps {
			if !slices.Contains(reserved(), name) {
				details[name] = value
			}
		}
		details["retries"], details["queue"] = x.Retries, x.Queue
		if len(x.StampedHeaders) > 0 {
			details["stamped_headers"] = x.StampedHeaders
		}
	}
	details["children"] = children
	if m.GroupID != "" {
		details["group_id"] = m.GroupID
	}
	if m.ParentID != "" {
		details["parent_id"] = m.ParentID
	}
	encoded, err := codec.JSON{}.Marshal(details)
	return string(encoded), err
}

// decodeDetails reads what encodeDetails and Django's store write. What is not understood there costs nobody the result.
func decodeDetails(m *task.Meta, c codec.Codec, raw codec.Raw) {
	var details map[string]codec.Raw
	if c.Unmarshal(raw, &details) != nil {
		return
	}
	take := func(name string, dst any) {
		if value, ok := details[name]; ok {
			_ = c.Unmarshal(value, dst)
		}
	}
	m.Children, _ = wire.DecodeRefs(details["children"], c)
	take("group_id", &m.GroupID)
	take("parent_id", &m.ParentID)
	x := m.Extended
	if x == nil {
		return
	}
	take("retries", &x.Retries)
	take("queue", &x.Queue)
	take("stamped_headers", &x.StampedHeaders)
	for _, name := range x.StampedHeaders {
		var stamp any
		take(name, &stamp)
		if x.Stamps == nil {
			x.Stamps = map[string]any{}
		}
		x.Stamps[name] = stamp
	}
}
