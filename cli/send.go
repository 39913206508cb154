package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/codec"
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

// sendFlags are the flags of `send`.
type sendFlags struct {
	args, kwargs            string
	queue, id, expires, eta string
	countdown, timeout      string
	priority                uint8
	wait                    bool
	program                 *program
}

func (p *program) sendCommand() Command {
	f := &sendFlags{program: p}
	c := Command{
		Use:     "send NAME",
		Aliases: []string{"call"},
		Short:   "Send a task",
		Long: `Send a task and print its id; with --wait, print its result instead.

The task need not be known here: any name can be sent, for a worker that knows it.`,
		Example: `send tasks.add --args '[2, 3]'
send tasks.add --kwargs '{"x": 2, "y": 3}' --wait --timeout 10
send tasks.report --queue reports --countdown 60 --expires 3600`,
		MinArgs: 1, MaxArgs: 1,
		Settings: []string{"queue_type", "declare"},
		Flags:    f.add,
		Run: func(ctx context.Context, s *Session, args []string) error {
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
			return f.run(ctx, s, form.Task, form.Arguments)
		},
	}
}

func (f *sendFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.args, "args", "a", "", "positional arguments, a `JSON` array")
	flags.StringVarP(&f.kwargs, "kwargs", "k", "", "keyword arguments, a `JSON` object")
	flags.StringVar(&f.queue, "queue", "", "`queue` to send to (default: the default queue)")
	flags.StringVar(&f.id, "task-id", "", "`id` of the task (default: a new UUID)")
	flags.Uint8Var(&f.priority, "priority", 0, "priority of the message, 0 to 255; the queue needs x-max-priority")
	flags.StringVar(&f.countdown, "countdown", "", "`seconds` from now until the task may start")
	flags.StringVar(&f.eta, "eta", "", "`time` at which the task may start, in ISO 8601; without a zone it is UTC")
	flags.StringVar(&f.expires, "expires", "", "`seconds` from now, or time in ISO 8601, after which it does not start any more")
	flags.BoolVar(&f.wait, "wait", false, "wait for the result and print it")
	flags.StringVar(&f.timeout, "timeout", "", "`seconds` to wait for the result at the most (with --wait)")
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
	sending, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	result, err := app.Send(sending, sig)
	if err != nil {
		return s.sendError(err)
	}
	s.Log.Info("task sent", "task", name, "id", result.ID(), "queue", s.queueOf(sig))
	if f.wait {
		return s.await(ctx, result, timeout, false)
	}
	if s.JSON() {
		return s.printJSON(map[string]any{"id": result.ID(), "task": name, "queue": s.queueOf(sig)})
	}
	return printLine(s.Out, result.ID())
}

func (s *Session) queueOf(sig task.Signature) string {
	if sig.Queue != "" {
		return sig.Queue
	}
	return s.Config.Text("default_queue")
}

// sendError adds to errors of a send what makes them exit with the right status.
func (s *Session) sendError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, broker.ErrUnavailable) {
		return Exit(Unavailable, fmt.Errorf("the broker at %s did not answer within %s; the task may or may not have been sent (%w)",
			s.Config.Show("broker_url"), connectWait, err))
	}
	return err
}

func (f *sendFlags) signature(name string, now time.Time) (task.Signature, error) {
	sig := task.Signature{Task: name, CallOptions: task.CallOptions{ID: f.id, Queue: f.queue, Priority: f.priority}}
	var err error
	if sig.Args, err = parseArgs(f.args); err != nil {
		return sig, Exit(Usage, fmt.Errorf("--args: %w", err))
	}
	if sig.Kwargs, err = parseKwargs(f.kwargs); err != nil {
		return sig, Exit(Usage, fmt.Errorf("--kwargs: %w", err))
	}
	if sig.Countdown, err = seconds("--countdown", f.countdown); err != nil {
		return sig, err
	}
	if f.eta != "" {
		if sig.ETA, err = codec.ParseTime(f.eta); err != nil {
			return sig, Exit(Usage, fmt.Errorf("--eta: %w; write it like 2026-11-22T11:13:58Z", err))
		}
	}
	if f.expires != "" {
		if sig.Expires, err = expiry(f.expires, now); err != nil {
			return sig, Exit(Usage, fmt.Errorf("--expires: %q is neither a number of seconds nor a time like 2026-11-22T11:13:58Z", f.expires))
		}
	}
	return sig, nil
}

// expiry reads seconds from now, or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	if d, err := config.ParseSeconds(text); err == nil {
		return now.Add(d), nil
	}
	return codec.ParseTime(text)
}

func seconds(flag, text string) (time.Duration, error) {
	d, err := config.ParseSeconds(text)
	if err != nil {
		return 0, Exit(Usage, fmt.Errorf("%s: %w", flag, err))
	}
	return d, nil
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
