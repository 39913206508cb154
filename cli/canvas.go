package cli

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

func canvasCommand() Command {
	return Command{
		Use:      "canvas",
		Short:    "Look at workflows",
		Long:     "Look at workflows: chains, groups, chords and what combines them, as Celery writes them. `send --canvas` sends one, `result --tree` shows what became of it.",
		Example:  "canvas show workflow.json",
		Commands: []Command{canvasShowCommand()},
	}
}

func canvasShowCommand() Command {
	var dot, plan bool
	return Command{
		Use:   "show FILE",
		Short: "Print a workflow from its serialised form",
		Long: `Print a workflow that was written to a file as JSON, by Python's json.dumps(signature) say; - is the standard input.

It is printed in one line, as Celery prints it, and as a tree: the steps of a chain have numbers, a chord's body stands behind "then". An … stands for the
result that a task gets from what is before it. With -o json, the workflow is printed as it would be sent; with --plan, the
messages that go out at first are, and what each of them takes with it: the others are sent by the workers, as results come in.`,
		Example: `canvas show workflow.json
canvas show workflow.json --dot | dot -Tsvg > workflow.svg
canvas show - < workflow.json`,
		MinArgs: 1, MaxArgs: 1, Tabular: true, offline: true, files: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&dot, "dot", false, "print a graph for Graphviz")
			flags.BoolVar(&plan, "plan", false, "print the messages that are sent at first")
		},
		Run: func(_ context.Context, s *Session, args []string) error {
			switch {
			case dot && s.JSON():
				return Exit(Usage, errDotAndJSON)
			case dot && plan:
				return Exit(Usage, errors.New("--dot and --plan do not go together: give one of them"))
			case plan:
				return s.showPlan(args[0])
			}
			return s.showWorkflow(args[0], dot)
		},
	}
}

var errDotAndJSON = errors.New("--dot and --output json do not go together: give one of them")

func (s *Session) showWorkflow(name string, dot bool) error {
	sig, err := s.readWorkflow(name)
	switch {
	case err != nil:
		return err
	case dot:
		return canvas.WriteDot(s.Out, sig)
	case s.JSON():
		raw, err := wire.EncodeSignature(sig, codec.JSON{})
		if err != nil {
			return err
		}
		return s.printJSON(json.RawMessage(raw))
	}
	if err := printLine(s.Out, oneLine(canvas.Repr(sig))+"\n"); err != nil {
		return err
	}
	return drawBoxes(s.Out, boxOf(sig, nothing))
}
