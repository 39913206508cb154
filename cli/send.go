package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// Form is `send NAME` with flags of its own, which make the arguments of one task.
type Form struct {
	// Task is the name.
	Task string
	// Short is one line, Long the whole story (default: Short), Example lines of what follows the program's name.
	Short, Long, Example string
	// Flags adds the flags.
	Flags func(flags *pflag.FlagSet)
	// Arguments are what the flags make. It is not asked when --args or --kwargs is given.
	Arguments func() (args []any, kwargs map[string]any, err error)
}

func (p *program) sendCommand() Command {
	f := &sendFlags{program: p}
	c := Command{
		Use:     "send NAME | --canvas FILE",
		Aliases: []string{"call"},
		Short:   "Send a task or a workflow",
		Long: `Send a task and print its id; with --wait, print its result instead. With --canvas, a workflow is sent that was written to a
file as JSON, by Python's json.dumps(signature) say; its id is that of its last task, or of the group that it is.

The task need not be known here: any name can be sent, for a worker that knows it. What the flags leave open of a
task that is known is taken from its own options.`,
		Example: `send tasks.add --args '[2, 3]'
send tasks.add --kwargs '{"x": 2, "y": 3}' --wait --timeout 10
send tasks.report --queue reports --countdown 60 --expires 3600
send tasks.add --args '[2, 3]' --link tasks.print --link-error '{"task": "tasks.mail", "args": ["ops"]}'
send --canvas workflow.json --wait`,
		MaxArgs:  1,
		Settings: []string{"queue_type", "declare"},
		Groups:   f.groups(),
		Run: func(ctx context.Context, s *Session, args []string) error {
			switch {
			case f.canvas != "":
				return f.sendWorkflow(ctx, s, args)
			case len(args) == 0:
				return Exit(Usage, errors.New("`"+s.command.CommandPath()+"` needs NAME, or a workflow by --canvas; see `"+s.command.CommandPath()+" --help`"))
			}
			return f.run(ctx, s, args[0], nil)
		},
		inherit:  true,
		Tabular:  true,
		complete: p.completeTasks,
	}
	for _, e := range p.extensions {
		for _, form := range e.Forms {
			c.Commands = append(c.Commands, f.form(form))
		}
	}
	return c
}

// form is the sub-command for one task.
func (f *sendFlags) form(form Form) Command {
	return Command{
		Use: form.Task, Short: form.Short, Long: form.Long, Example: form.Example, Flags: form.Flags, Tabular: true,
		Run: func(ctx context.Context, s *Session, _ []string) error {
			if f.canvas != "" {
				return Exit(Usage, fmt.Errorf("%s and --canvas do not go together: give one of them", form.Task))
			}
			return f.run(ctx, s, form.Task, form.Arguments)
		},
	}
}

// run sends. arguments, when not nil, makes the arguments unless --args or --kwargs gives them.
func (f *sendFlags) run(ctx context.Context, s *Session, name string, arguments func() ([]any, map[string]any, error)) error {
	sig, err := f.signature(name, time.Now())
	if err != nil {
		return err
	}
	timeout, err := seconds("--timeout", f.timeout)
	if err != nil {
		return err
	}
	if arguments != nil && f.args == "" && f.kwargs == "" {
		if sig.Args, sig.Kwargs, err = arguments(); err != nil {
			return Exit(Usage, err)
		}
	}
	app, err := s.App()
	if err != nil {
		return err
	}
	d, err := f.destination(ctx, app, sig)
	if err != nil {
		return err
	}
	if err := d.Call.Validate(); err != nil {
		return Exit(Usage, err)
	}
	sending, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	result, err := app.Send(sending, sig)
	if err != nil {
		return s.sendError(err)
	}
	return s.sent(ctx, d, result, timeout, f.wait)
}

// sent says what was sent, or waits for its outcome.
func (s *Session) sent(ctx context.Context, d taskq.Destination, result *task.Result[any], timeout time.Duration, wait bool) error {
	place := map[string]any{}
	if d.Call.Queue != "" || d.Address.Exchange == "" {
		place["queue"] = cmp.Or(d.Call.Queue, d.Address.RoutingKey)
	}
	if d.Address.Exchange != "" {
		place["exchange"], place["routing_key"] = d.Address.Exchange, d.Address.RoutingKey
	}
	attrs := []any{"task", d.Call.Task, "id", result.ID()}
	for _, name := range slices.Sorted(maps.Keys(place)) {
		attrs = append(attrs, name, place[name])
	}
	s.Log.Info("task sent", attrs...)
	if wait {
		return s.await(ctx, result, timeout, false)
	}
	if s.JSON() {
		place["id"], place["task"] = result.ID(), d.Call.Task
		return s.printJSON(place)
	}
	return printLine(s.Out, result.ID())
}

// sendError adds to errors of a send what makes them exit with the right status.
func (s *Session) sendError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, broker.ErrUnavailable) {
		return Exit(Unavailable, fmt.Errorf("the broker at %s did not answer within %s; the task may or may not have been sent (%w)",
			s.Config.Show("broker_url"), connectWait, err))
	}
	return err
}

// completeTasks offers the names of the registered tasks.
func (p *program) completeTasks(cmd *cobra.Command, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	s, err := p.session(Command{offline: true}, cmd)
	if err != nil {
		return nil
	}
	app, err := s.App()
	if err != nil {
		return nil
	}
	var names []string
	for _, spec := range app.Registry().All() {
		names = append(names, spec.Name)
	}
	return names
}
