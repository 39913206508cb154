package worker

import (
	"cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// extended is what result_extended adds to an outcome. Arguments that cannot be read are left out.
func extended(req *task.Request) *task.Extended {
	x := &task.Extended{
		Name: req.Name, Worker: req.Hostname, Retries: req.Retries, Queue: cmp.Or(req.RoutingKey, req.Queue),
		StampedHeaders: req.StampedHeaders, Stamps: req.Stamps, ArgsRepr: req.ArgsRepr, KwargsRepr: req.KwargsRepr,
	}
	x.PeriodicTask, _ = req.Headers["periodic_task_name"].(string)
	args, kwargs, err := plainArguments(req.Arguments)
	if err != nil {
		return x
	}
	x.ArgsRepr = cmp.Or(x.ArgsRepr, task.ReprArgs(args))
	x.KwargsRepr = cmp.Or(x.KwargsRepr, task.ReprKwargs(kwargs))
	if raw, err := (codec.JSON{}).Marshal(args); err == nil {
		x.Args = raw
	}
	if raw, err := (codec.JSON{}).Marshal(kwargs); err == nil {
		x.Kwargs = raw
	}
	return x
}

// plainArguments decodes the arguments, which may be in another encoding than results are.
func plainArguments(a task.Arguments) ([]any, map[string]any, error) {
	args, kwargs := make([]any, len(a.Args)), make(map[string]any, len(a.Kwargs))
	for i, raw := range a.Args {
		if err := a.Codec.Unmarshal(raw, &args[i]); err != nil {
			return nil, nil, err
		}
	}
	for name, raw := range a.Kwargs {
		var value any
		if err := a.Codec.Unmarshal(raw, &value); err != nil {
			return nil, nil, err
		}
		kwargs[name] = value
	}
	return args, kwargs, nil
}
