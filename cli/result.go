package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/task"
)

func resultCommand() Command {
	var timeout string
	var traceback bool
	return Command{
		Use:   "result ID",
		Short: "Wait for a task's result and print it",
		Long: `Wait for the result of a task that was sent earlier, and print it.

An id that nobody knows looks like a task that has not ended: --timeout bounds the wait.`,
		Example: `result d97074ce-2c94-4422-8b08-14409aa9abab
result d97074ce-2c94-4422-8b08-14409aa9abab --timeout 10 --traceback`,
		MinArgs: 1, MaxArgs: 1, Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&timeout, "timeout", "", "`seconds` to wait at the most (default: for ever)")
			flags.BoolVar(&traceback, "traceback", false, "print the traceback of a task that failed")
		},
		Run: func(ctx context.Context, s *Session, args []string) error {
			limit, err := seconds("--timeout", timeout)
			if err != nil {
				return err
			}
			app, err := s.App()
			if err != nil {
				return err
			}
			if strings.HasPrefix(app.Config().ResultBackend, "rpc:") {
				return Exit(Misconfigured, errors.New("results over rpc:// go to the process that sent the task and are kept nowhere else; "+
					"use `send --wait`, or name a result store with --result-backend"))
			}
			return s.await(ctx, app.Result(args[0]), limit, traceback)
		},
	}
}

// outcome is a result as -o json prints it.
type outcome struct {
	ID        string          `json:"id"`
	State     task.State      `json:"state"`
	Result    json.RawMessage `json:"result"`
	Error     *failure        `json:"error,omitempty"`
	Traceback string          `json:"traceback,omitempty"`
	DoneAt    *time.Time      `json:"done_at,omitempty"`
}

type failure struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// await waits for the outcome and prints it. A timeout of 0 means for ever.
func (s *Session) await(ctx context.Context, result *task.Result[any], timeout time.Duration, traceback bool) error {
	waiting := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	meta, err := result.Wait(waiting)
	if err != nil && ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		return Exit(TimedOut, fmt.Errorf("task %s has not ended within %s", result.ID(), timeout))
	}
	if err != nil {
		return err
	}
	if err := s.printOutcome(meta, traceback); err != nil {
		return err
	}
	if err := meta.Err(); err != nil {
		return Exit(Failure, fmt.Errorf("task %s ended in state %s: %w", meta.ID, meta.State, err))
	}
	return nil
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

func jsonOutcome(meta task.Meta, remote *task.RemoteError) outcome {
	o := outcome{ID: meta.ID, State: meta.State, Traceback: meta.Traceback, Result: json.RawMessage("null")}
	if !meta.DoneAt.IsZero() {
		done := meta.DoneAt.UTC()
		o.DoneAt = &done
	}
	if remote != nil {
		o.Error = &failure{Type: remote.Type, Message: remote.Message}
		return o
	}
	o.Result = rawResult(meta)
	return o
}

// rawResult is the result as JSON.
func rawResult(meta task.Meta) json.RawMessage {
	if (meta.Codec == nil || meta.Codec.ContentType() == "application/json") && json.Valid(meta.Result) {
		return json.RawMessage(meta.Result)
	}
	var value any
	if meta.Value(&value) == nil {
		if encoded, err := json.Marshal(value); err == nil {
			return encoded
		}
	}
	return json.RawMessage("null")
}
