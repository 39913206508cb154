package taskqtest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// Call is one call that was sent: as a worker gets it, and when.
type Call struct {
	*task.Request
	// Delay is how long it was put off.
	Delay time.Duration
	At    time.Time
}

// String is the call as in a log: its name, its arguments and its queue.
func (c Call) String() string {
	args := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(c.ArgsRepr, "("), ")"), ",")
	if c.KwargsRepr != "{}" {
		args = strings.TrimPrefix(args+" "+c.KwargsRepr, " ")
	}
	to := "queue " + c.Queue
	if c.Exchange != "" {
		to = fmt.Sprintf("exchange %s, routing key %s", c.Exchange, c.RoutingKey)
	}
	return fmt.Sprintf("%s(%s) to %s", c.Name, args, to)
}

// note keeps what is a task message. One that is sent again, by a retry or to wait longer, is the same call.
func (b *bus) note(to broker.Address, msg broker.Message, delay time.Duration) {
	d := broker.NewDelivery(msg, nil)
	d.Exchange, d.RoutingKey = to.Exchange, to.RoutingKey
	if to.Exchange == "" {
		d.Queue = to.RoutingKey
	}
	req, err := wire.Decode(d, b.accept, b.limits)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.sent, func(c Call) bool { return c.ID == req.ID }) {
		b.sent = append(b.sent, Call{Request: req, Delay: delay, At: time.Now()})
	}
}

// Sent returns the calls that were sent so far, the oldest first: those of the test, of the tasks, and what follows tasks.
func (a *App) Sent() []Call {
	a.bus.mu.Lock()
	defer a.bus.mu.Unlock()
	return slices.Clone(a.bus.sent)
}

// ForgetSent begins the list of calls anew.
func (a *App) ForgetSent() {
	a.bus.mu.Lock()
	defer a.bus.mu.Unlock()
	a.bus.sent = nil
}

// RequireSent ends the test unless the task was called with these arguments; it returns the first such call.
func RequireSent[A, R any](t testing.TB, app *App, def *task.Task[A, R], args A) Call {
	t.Helper()
	for _, c := range SentTo(t, app, def) {
		if reflect.DeepEqual(c.Args, args) {
			return c.Call
		}
	}
	t.Fatalf("taskqtest: %s was not called with %+v; sent was:\n%s", def.Name(), args, list(app.Sent()))
	return Call{}
}

// RequireNotSent ends the test if the task was called.
func RequireNotSent(t testing.TB, app *App, def task.Definition) {
	t.Helper()
	for _, c := range app.Sent() {
		if c.Name == def.Spec().Name {
			t.Fatalf("taskqtest: %s was called: %s", c.Name, c)
		}
	}
}

// CallOf is a call with its arguments.
type CallOf[A any] struct {
	Call
	Args A
}

// SentTo returns the calls of one task, the oldest first. It ends the test when the arguments of one do not fit the task.
func SentTo[A, R any](t testing.TB, app *App, def *task.Task[A, R]) []CallOf[A] {
	t.Helper()
	var calls []CallOf[A]
	for _, c := range app.Sent() {
		if c.Name != def.Name() {
			continue
		}
		call := CallOf[A]{Call: c}
		if raw, ok := any(&call.Args).(*task.Arguments); ok { // of a task.Raw
			*raw = c.Arguments
		} else if err := c.Decode(&call.Args); err != nil {
			t.Fatalf("taskqtest: %s: %v", c, err)
		}
		calls = append(calls, call)
	}
	return calls
}

func list(calls []Call) string {
	if len(calls) == 0 {
		return "  nothing"
	}
	lines := make([]string, len(calls))
	for i, c := range calls {
		lines[i] = "  " + c.String()
	}
	return strings.Join(lines, "\n")
}
