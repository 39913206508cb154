package taskq

import (
	"cmp"
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// Destination is where a call goes.
type Destination struct {
	// Call as it is sent, with what it leaves open filled in. Its Queue is declared before; "" when the call goes to an exchange that must
	// exist.
	Call task.Signature
	// Address that it is published to.
	Address broker.Address
	// Decided is what named the queue or the exchange: "the call", "the task", a route (`routes[1], match "feed.*"`) or "the default".
	Decided string
	// Route that fits, "" when none does. It may have given options though the call or its task named the queue.
	Route string
}

// Destination returns where Send would send the call, and what decided. It sends nothing, and returns the error that Send would when the
// call cannot go anywhere.
func (a *App) Destination(ctx context.Context, s task.Signature) (Destination, error) {
	d, err := a.destination(ctx, s)
	if err != nil {
		return Destination{}, sendError(s.Task, err)
	}
	d.Address = (&wire.Outgoing{Signature: d.Call}).Address()
	return d, nil
}

// destination fills in what the caller left open: by the task, by the routes, by the defaults.
func (a *App) destination(ctx context.Context, s task.Signature) (Destination, error) {
	var d Destination
	note := func(who string) {
		if d.Decided == "" && (s.Queue != "" || s.Exchange != "") {
			d.Decided = who
		}
	}
	note("the call")
	s = s.Complete(a.registry.Lookup(s.Task), task.CallOptions{})
	note("the task")
	if r, options := a.router.find(ctx, routedAs(s)); r != nil {
		if r.route.Func != nil {
			if err := checkRoute(options, a.queues); err != nil {
				return d, &unsendable{fmt.Errorf("%s: %w", r.text, err)}
			}
		}
		s = s.Complete(nil, options)
		d.Route = r.text
		note(d.Route)
	}
	s = s.Complete(nil, a.cfg.Call)
	if s.Queue == "" && s.Exchange == "" && (s.RoutingKey == "" || a.queues.exchange(a.cfg.DefaultQueue).Kind != broker.Direct) {
		s.Queue = a.cfg.DefaultQueue
	}
	d.Decided = cmp.Or(d.Decided, "the default")
	if s.Queue != "" {
		if err := a.queues.known(s.Queue); err != nil {
			return d, &unsendable{err}
		}
		s.Exchange, s.RoutingKey = a.queues.published(s)
	}
	d.Call = s
	return d, nil
}

// routedAs is a call as the routes see it: one of Celery's own tasks that does the work of another one goes where that one goes
// (celery/canvas.py, _basemap.apply_async; celery/backends/base.py, fallback_chord_unlock).
func routedAs(s task.Signature) task.Signature {
	var inside any
	switch s.Task {
	case "celery.map", "celery.starmap", "celery.chunks":
		inside = s.Kwargs["task"]
	case "celery.chord_unlock":
		if len(s.Args) > 1 {
			inside = s.Args[1]
		}
	}
	switch v := inside.(type) {
	case task.Signature:
		for len(v.Tasks) > 0 {
			v = v.Tasks[0]
		}
		s.Task = cmp.Or(v.Task, s.Task)
	case codec.Raw:
		var named struct{ Task string }
		if (codec.JSON{}).Unmarshal(v, &named) == nil {
			s.Task = cmp.Or(named.Task, s.Task)
		}
	}
	return s
}
