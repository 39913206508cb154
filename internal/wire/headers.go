package wire

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// headers writes the headers of protocol 2 with the types that Celery 5.6 gives them (celery/app/amqp.py, as_task_v2).
func headers(req *task.Request) (broker.Table, error) {
	h, err := customTable(req.Headers)
	if err != nil {
		return nil, err
	}
	if h["retries"], err = small("retries", req.Retries); err != nil {
		return nil, err
	}
	if h["replaced_task_nesting"], err = small("replaced_task_nesting", req.ReplacedNesting); err != nil {
		return nil, err
	}
	h["group_index"] = nil
	if req.GroupIndex >= 0 {
		if h["group_index"], err = small("group_index", req.GroupIndex); err != nil {
			return nil, err
		}
	}
	if h["stamps"], err = portableTable(req.Stamps); err != nil {
		return nil, fmt.Errorf("stamp %w", err)
	}
	h["stamped_headers"] = nil
	if req.StampedHeaders != nil {
		h["stamped_headers"], _ = portable(req.StampedHeaders) // strings always fit
	}
	h["lang"] = "go"
	h["task"] = req.Name
	var id any = req.ID
	h["id"], h["root_id"] = id, id
	if req.RootID != req.ID {
		h["root_id"] = req.RootID
	}
	h["shadow"] = orNil(req.Shadow)
	h["eta"] = timeOrNil(req.ETA)
	h["expires"] = timeOrNil(req.Expires)
	h["group"] = orNil(req.Group)
	h["timelimit"] = []any{inSeconds(req.TimeLimit), inSeconds(req.SoftTimeLimit)}
	h["parent_id"] = orNil(req.ParentID)
	h["argsrepr"] = req.ArgsRepr
	h["kwargsrepr"] = req.KwargsRepr
	h["origin"] = req.Origin
	h["ignore_result"] = req.IgnoreResult
	return h, nil
}

// customTable starts the headers with the custom ones.
func customTable(custom map[string]any) (broker.Table, error) {
	h := make(broker.Table, 20+len(custom))
	for k, v := range custom {
		p, err := portable(v)
		switch {
		case err != nil:
			return nil, fmt.Errorf("header %s: %w", k, err)
		case known(k):
			return nil, fmt.Errorf("header %s: the name is Celery's own", k)
		case strings.HasPrefix(k, OwnPrefix):
			return nil, fmt.Errorf("header %s: names that start with %s are taskq's own", k, OwnPrefix)
		}
		h[k] = p
	}
	return h, nil
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return isoformat(t)
}

// isoformat writes a time in UTC as Python does: the fraction has six digits, or is left out when it is zero.
func isoformat(t time.Time) string {
	return strings.Replace(codec.FormatTime(t.UTC()), ".000000", "", 1)
}

func small(name string, n int) (any, error) {
	if n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("%s %d does not fit into 32 bits", name, n)
	}
	return int32(n), nil
}

// inSeconds writes a limit as Celery does: whole seconds as an integer.
func inSeconds(d time.Duration) any {
	switch {
	case d <= 0:
		return nil
	case d%time.Second == 0 && d/time.Second <= math.MaxInt32:
		return int32(d / time.Second)
	}
	return d.Seconds()
}
