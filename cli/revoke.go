package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
)

// revokeFlags are the flags of `revoke`.
type revokeFlags struct {
	terminate   bool
	signal      string
	stamps      []string
	destination []string
	timeout     string
}

func revokeCommand() Command {
	f := &revokeFlags{}
	return Command{
		Use:   "revoke [ID...]",
		Short: "Tell the workers not to run tasks",
		Long: `Tell the workers not to run tasks, and print what each of them answers, as "celery control revoke" does.

The tasks are named by their ids, or with --stamp by a stamp that they have. Workers remember it for three hours and tell those that
start later. A task that runs already goes on, unless --terminate cancels it. When no worker answers, the exit status is 69.`,
		Example: `revoke d97074ce-2c94-4422-8b08-14409aa9abab
revoke d97074ce-2c94-4422-8b08-14409aa9abab --terminate --signal SIGKILL
revoke --stamp tenant=acme --stamp tenant=initech`,
		MinArgs: 0, MaxArgs: -1, Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&f.terminate, "terminate", false, "end the tasks that run, too")
			flags.StringVar(&f.signal, "signal", "", "`name` of the signal to terminate with (default SIGTERM); SIGKILL gives up a task that goes on")
			flags.StringArrayVar(&f.stamps, "stamp", nil, "tasks with this stamp, `NAME=text` or NAME:=JSON, instead of ids; can be repeated")
			flags.StringSliceVarP(&f.destination, "destination", "d", nil, "`nodes` to tell, with commas between them (default: all)")
			flags.StringVarP(&f.timeout, "timeout", "t", "", "`seconds` to wait for answers (default: 1)")
		},
		Run: f.run,
	}
}

func (f *revokeFlags) run(ctx context.Context, s *Session, ids []string) error {
	request, err := f.request(ids)
	if err != nil {
		return Exit(Usage, err)
	}
	if f.timeout != "" { // else a second
		if request.Timeout, err = seconds("--timeout", f.timeout); err != nil {
			return err
		}
	}
	app, err := s.App()
	if err != nil {
		return err
	}
	client, err := app.Control(ctx)
	if err != nil {
		return err
	}
	replies, err := client.Call(ctx, request)
	if err != nil {
		return err
	}
	if len(replies) == 0 {
		return Exit(Unavailable, f.nobody())
	}
	return s.printReplies(replies)
}

// nobody is the error, in Celery's words, for a command that no worker answers.
func (f *revokeFlags) nobody() error {
	who := "no worker"
	if len(f.destination) > 0 {
		who = "none of " + strings.Join(f.destination, ", ")
	}
	return fmt.Errorf("no nodes replied within time constraint: %s is connected to this broker, or it needs longer (--timeout)", who)
}

// request is what the flags and arguments ask for.
func (f *revokeFlags) request(ids []string) (control.Request, error) {
	how := task.Revocation{Terminate: f.terminate || f.signal != "", Signal: f.signal, Destination: f.destination}
	if _, err := how.SignalNumber(); err != nil {
		return control.Request{}, fmt.Errorf("--signal: %s", strings.TrimPrefix(err.Error(), "task: "))
	}
	switch {
	case len(ids) == 0 && len(f.stamps) == 0:
		return control.Request{}, errors.New("name the tasks by their ids, or by a stamp with --stamp NAME=text")
	case len(ids) > 0 && len(f.stamps) > 0:
		return control.Request{}, errors.New("name the tasks by their ids or by --stamp, not by both")
	case len(ids) > 0:
		return control.Revoke(ids, how), nil
	}
	stamps := map[string]any{}
	for _, stamp := range f.stamps {
		name, value, err := parsePair(stamp)
		if err != nil {
			return control.Request{}, fmt.Errorf("--stamp: %w", err)
		}
		values, _ := stamps[name].([]any)
		stamps[name] = append(values, value)
	}
	return control.RevokeByStamps(stamps, how), nil
}

// printReplies prints the workers' answers in the layout of Celery's. It is an error when there are none but errors.
func (s *Session) printReplies(replies []control.Reply) error {
	values, obeyed := map[string]json.RawMessage{}, 0
	var failed error
	for _, r := range replies {
		values[r.Node] = json.RawMessage(r.Value)
		text, known, err := r.Text()
		verdict := "OK"
		told, isTold := errors.AsType[*control.ReplyError](err)
		switch {
		case isTold:
			verdict, text, failed = "ERROR", told.Text, err
		case !known:
			text, obeyed = string(r.Value), obeyed+1
		default:
			obeyed++
		}
		if s.JSON() {
			continue
		}
		if err := printLine(s.Out, fmt.Sprintf("->  %s: %s\n        %s", oneLine(r.Node), verdict, oneLine(text))); err != nil {
			return err
		}
	}
	if s.JSON() {
		if err := s.printJSON(values); err != nil {
			return err
		}
	}
	if obeyed == 0 {
		return Exit(Failure, failed)
	}
	return nil
}
