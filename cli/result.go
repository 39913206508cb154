package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

// resultFlags are the flags of `result`.
type resultFlags struct {
	timeout          string
	traceback, watch bool
	tree, dot        bool
}

func resultCommand() Command {
	f := &resultFlags{}
	return Command{
		Use:   "result ID",
		Short: "Wait for a task's result and print it",
		Long: `Wait for the result of a task that was sent earlier, and print it. With -o json, all that is stored with it is printed, too.

An id that nobody knows looks like a task that has not ended: --timeout bounds the wait.

With --tree, the whole workflow is printed that the task is part of, as it is now, without waiting; with --watch, whenever it has
changed, until all of it has ended. Ask with the id that was printed when it was sent: it is that of its last step. The names of tasks
are known when the workers run with --result-extended.`,
		Example: `result d97074ce-2c94-4422-8b08-14409aa9abab
result d97074ce-2c94-4422-8b08-14409aa9abab --timeout 10 --traceback
result d97074ce-2c94-4422-8b08-14409aa9abab --watch
result d97074ce-2c94-4422-8b08-14409aa9abab --tree`,
		MinArgs: 1, MaxArgs: 1, Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&f.timeout, "timeout", "", "`seconds` to wait at the most (default: for ever)")
			flags.BoolVar(&f.traceback, "traceback", false, "print the traceback of a task that failed")
			flags.BoolVar(&f.watch, "watch", false, "print each state of the task as it comes, and at the end what the task has sent")
			flags.BoolVar(&f.tree, "tree", false, "print the workflow as a tree, with the states of its tasks")
			flags.BoolVar(&f.dot, "dot", false, "print that tree as a graph for Graphviz")
		},
		Run: f.run,
	}
}

func (f *resultFlags) run(ctx context.Context, s *Session, args []string) error {
	limit, err := seconds("--timeout", f.timeout)
	if err != nil {
		return err
	}
	if err := f.clashes(s); err != nil {
		return Exit(Usage, err)
	}
	app, err := s.App()
	if err != nil {
		return err
	}
	if err := lookable(app); err != nil {
		return Exit(Misconfigured, err)
	}
	if f.tree || f.dot {
		return f.showTree(ctx, s, app, args[0], limit)
	}
	result, err := s.handle(ctx, app, args[0])
	if err != nil {
		return err
	}
	switch {
	case !f.watch:
		return s.await(ctx, result, limit, f.traceback)
	case result.IsGroup():
		return Exit(Usage, fmt.Errorf("%s is a group, which has no states of its own: with --tree, --watch shows those of its tasks", args[0]))
	}
	return f.watchStates(ctx, s, result, limit)
}

// clashes refuses flags that say two things.
func (f *resultFlags) clashes(s *Session) error {
	switch {
	case f.dot && s.JSON():
		return errDotAndJSON
	case f.dot && f.watch:
		return errors.New("--dot and --watch do not go together: a graph is drawn once")
	case (f.tree || f.dot) && f.traceback:
		return errors.New("--traceback and --tree do not go together: `result ID --traceback` shows that of one task")
	case (f.tree || f.dot) && f.timeout != "" && !f.watch:
		return errors.New("--timeout and --tree do not go together without --watch: nothing is waited for")
	}
	return nil
}

// lookable says why outcomes cannot be looked up.
func lookable(app *taskq.App) error {
	if strings.HasPrefix(app.Config().ResultBackend, "rpc:") {
		return errors.New("results over rpc:// go to the process that sent the task and are kept nowhere else; " +
			"use `send --wait`, or name a result store with --result-backend")
	}
	if strings.HasPrefix(app.Config().ResultBackend, "memory:") {
		return errors.New("results in memory:// are kept by the worker's process alone; name another store with --result-backend")
	}
	return nil
}

// watchStates prints each state as it comes.
func (f *resultFlags) watchStates(ctx context.Context, s *Session, result *task.Result[any], limit time.Duration) error {
	var last task.Meta
	err := within(ctx, result.ID(), limit, func(ctx context.Context) error {
		for meta, err := range result.Watch(ctx) {
			if err != nil {
				return err
			}
			if last = meta; meta.State.Ready() {
				break
			}
			if err := s.printState(meta); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.conclude(last, f.traceback, true)
}

// within runs wait for so long at the most; 0 means for ever.
func within(ctx context.Context, id string, limit time.Duration, wait func(context.Context) error) error {
	waiting := ctx
	if limit > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := wait(waiting)
	if err != nil && ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		return Exit(TimedOut, fmt.Errorf("task %s has not ended within %s", id, limit))
	}
	return err
}

// await waits for the outcome and prints it. A timeout of 0 means for ever.
func (s *Session) await(ctx context.Context, result *task.Result[any], timeout time.Duration, traceback bool) error {
	var meta task.Meta
	err := within(ctx, result.ID(), timeout, func(ctx context.Context) (err error) {
		meta, err = result.Wait(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return s.conclude(meta, traceback, false)
}

// conclude prints the outcome; a task that failed is an error.
func (s *Session) conclude(meta task.Meta, traceback, children bool) error {
	if err := s.printOutcome(meta, traceback); err != nil {
		return err
	}
	if children && !s.JSON() {
		for _, child := range meta.Children {
			if err := printLine(s.Err, describeRef(child)); err != nil {
				return err
			}
		}
	}
	if err := meta.Err(); err != nil {
		return Exit(Failure, fmt.Errorf("task %s ended in state %s: %w", meta.ID, meta.State, err))
	}
	return nil
}

// printState prints a state that is not the last one, beside the output proper.
func (s *Session) printState(meta task.Meta) error {
	switch remote, failed := errors.AsType[*task.RemoteError](meta.Err()); {
	case s.JSON():
		return s.printJSON(jsonOutcome(meta, remote))
	case failed:
		return printLine(s.Err, string(meta.State)+" "+remote.Error())
	}
	return printLine(s.Err, string(meta.State)+" "+string(rawResult(meta)))
}

func (s *Session) printOutcome(meta task.Meta, traceback bool) error {
	remote, failed := errors.AsType[*task.RemoteError](meta.Err())
	switch {
	case s.JSON():
		return s.printJSON(jsonOutcome(meta, remote))
	case failed:
		if traceback && meta.Traceback != "" {
			return printLine(s.Err, strings.TrimRight(meta.Traceback, "\n"))
		}
		return nil
	}
	var value any
	if err := meta.Value(&value); err != nil {
		return fmt.Errorf("result of %s cannot be read: %w", meta.ID, err)
	}
	if text, ok := value.(string); ok {
		return printLine(s.Out, text)
	}
	return printLine(s.Out, string(rawResult(meta)))
}

func describeRef(ref task.Ref) string {
	if !ref.Group {
		return "sent " + ref.ID
	}
	ids := make([]string, len(ref.Members))
	for i, member := range ref.Members {
		ids[i] = member.ID
	}
	return "sent group " + ref.ID + ": " + strings.Join(ids, " ")
}
