package redis

import (
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// encodePart writes [1, id, state, result] with Python's spaces: a part that a worker of the other language has noted before is then
// the same member of the set, if its result has no spaces in it.
func encodePart(m task.Meta) (string, error) {
	if m.Codec != nil && m.Codec.ContentType() != (codec.JSON{}).ContentType() {
		return "", fmt.Errorf("%w: the parts of a chord are kept as JSON, not as %s", result.ErrInvalid, m.Codec.ContentType())
	}
	id, err := codec.JSON{}.Marshal(m.ID)
	if err != nil {
		return "", err
	}
	state, err := codec.JSON{}.Marshal(string(m.State))
	if err != nil {
		return "", err
	}
	value := m.Result
	if len(value) == 0 {
		value = codec.Raw("null")
	}
	if size := len(id) + len(state) + len(value) + len("[1, , , ]"); size > maxValue {
		return "", fmt.Errorf("%w: part %s has %d bytes, and Redis keeps %d", result.ErrInvalid, m.ID, size, maxValue)
	}
	return fmt.Sprintf("[1, %s, %s, %s]", id, state, value), nil
}

func decodePart(member string) (task.Meta, error) {
	var fields []codec.Raw
	if err := (codec.JSON{}).Unmarshal([]byte(member), &fields); err != nil {
		return task.Meta{}, fmt.Errorf("a part cannot be read: %w; in Redis only JSON is read: leave result_serializer at 'json' in Python", err)
	}
	if len(fields) != 4 {
		return task.Meta{}, fmt.Errorf("a part has %d fields, not 4", len(fields))
	}
	m := task.Meta{Codec: codec.JSON{}, Result: fields[3]}
	var state string
	if err := (codec.JSON{}).Unmarshal(fields[1], &m.ID); err != nil {
		return task.Meta{}, fmt.Errorf("id of a part: %w", err)
	}
	if err := (codec.JSON{}).Unmarshal(fields[2], &state); err != nil {
		return task.Meta{}, fmt.Errorf("state of part %s: %w", m.ID, err)
	}
	m.State = task.State(state)
	return m, nil
}
