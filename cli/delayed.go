package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func delayedCommand() Command {
	return Command{
		Use:   "delayed",
		Short: "List tasks that wait for their time, and cancel them",
		Long: `List tasks that wait for their time, and cancel them.

Tasks with a countdown or an ETA, and those that are tried again later, wait in the broker, and the far ones in the outbox where there is
one. With RabbitMQ, to look at them is to take them out and put them back: a second for some ten thousand, by which those that become due
meanwhile come late.`,
		Example: `delayed list --task 'mail.*'
delayed cancel d97074ce-2c94-4422-8b08-14409aa9abab`,
		Commands: []Command{delayedListCommand(), delayedCancelCommand()},
	}
}

// delayed is a task that waits for its time, as -o json prints it.
type delayed struct {
	ID   string `json:"id"`
	Task string `json:"task"`
	// Where it goes: a queue, or an exchange and a key.
	Queue      string     `json:"queue,omitempty"`
	Exchange   string     `json:"exchange,omitempty"`
	RoutingKey string     `json:"routing_key,omitempty"`
	Due        time.Time  `json:"due"` // when it leaves the place where it waits
	ETA        *time.Time `json:"eta"` // when it may start; null: its message does not say
}

func readDelayed(p broker.Parked) delayed {
	req := wire.Identify(broker.NewDelivery(p.Message, nil))
	out := delayed{ID: req.ID, Task: req.Name, Due: p.Due.UTC()}
	if out.Queue = p.To.RoutingKey; p.To.Exchange != "" {
		out.Queue, out.Exchange, out.RoutingKey = "", p.To.Exchange, p.To.RoutingKey
	}
	if text, ok := p.Headers["eta"].(string); ok {
		if eta, err := codec.ParseTime(text); err == nil {
			eta = eta.UTC()
			out.ETA = &eta
		}
	}
	return out
}

func (d delayed) row() []string {
	eta, to := "-", d.Queue
	if d.ETA != nil {
		eta = d.ETA.Format(time.RFC3339)
	}
	if d.Exchange != "" {
		to = d.Exchange + "/" + d.RoutingKey
	}
	return []string{d.Due.Format(time.RFC3339), eta, orDash(d.ID), orDash(d.Task), orDash(to)}
}

// parking returns what shows the delayed messages of the broker, and of the outbox where there is one.
func parking(ctx context.Context, app *taskq.App) (broker.Parking, error) {
	opening, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	b, err := app.Broker(opening)
	if err != nil {
		return nil, err
	}
	store, err := app.Outbox(ctx)
	if err != nil {
		return nil, err
	}
	var all parkings
	if p, ok := b.(broker.Parking); ok {
		all = append(all, p)
	}
	if store != nil {
		all = append(all, store)
	}
	if len(all) == 0 {
		return nil, errors.New("this broker cannot show what is delayed")
	}
	return all, nil
}

// parkings are several places where messages wait.
type parkings []broker.Parking

// Parked implements broker.Parking.
func (all parkings) Parked(ctx context.Context, show func(broker.Parked) bool) error {
	going := true
	for _, p := range all {
		err := p.Parked(ctx, func(m broker.Parked) bool {
			going = show(m)
			return going
		})
		if err != nil || !going {
			return err
		}
	}
	return nil
}

// Unpark implements broker.Parking.
func (all parkings) Unpark(ctx context.Context, match func(broker.Parked) bool) (sum int, err error) {
	for _, p := range all {
		n, failed := p.Unpark(ctx, match)
		sum, err = sum+n, errors.Join(err, failed)
	}
	return sum, err
}

func delayedListCommand() Command {
	var limit int
	var pattern string
	return Command{
		Use:   "list",
		Short: "List delayed tasks, the next one first",
		Example: `delayed list
delayed list --task 'mail.*' --limit 1000 -o json`,
		Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.IntVar(&limit, "limit", 100, "`number` of tasks to list at the most")
			flags.StringVar(&pattern, "task", "", "only tasks of these names, a `pattern` such as mail.*")
		},
		Run: func(ctx context.Context, s *Session, _ []string) error {
			if limit < 1 {
				return Exit(Usage, fmt.Errorf("--limit: %d is less than one", limit))
			}
			if _, err := path.Match(pattern, ""); err != nil {
				return Exit(Usage, fmt.Errorf("--task: %q is no pattern; * stands for any characters, ? for one, [ab] for one of those", pattern))
			}
			return s.listDelayed(ctx, limit, func(name string) bool {
				like, _ := path.Match(pattern, name) // checked
				return like || pattern == ""
			})
		},
	}
}

func (s *Session) listDelayed(ctx context.Context, limit int, matches func(string) bool) error {
	app, err := s.App()
	if err != nil {
		return err
	}
	p, err := parking(ctx, app)
	if err != nil {
		return err
	}
	found := []delayed{}
	err = p.Parked(ctx, func(m broker.Parked) bool {
		if d := readDelayed(m); matches(d.Task) {
			found = append(found, d)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("list delayed tasks: %w", err)
	}
	slices.SortStableFunc(found, func(a, b delayed) int { return a.Due.Compare(b.Due) })
	total := len(found)
	found = found[:min(total, limit)]
	t := Table{Header: []string{"DUE", "ETA", "ID", "TASK", "TO"}, Data: found}
	for _, d := range found {
		t.Rows = append(t.Rows, d.row())
	}
	if err := s.Print(t); err != nil {
		return err
	}
	if total > len(found) {
		fmt.Fprintf(s.Err, "%d of %d delayed tasks are listed; --limit lists more\n", len(found), total)
	}
	return nil
}

func delayedCancelCommand() Command {
	return Command{
		Use:   "cancel ID...",
		Short: "Cancel delayed tasks",
		Long: `Cancel delayed tasks: their messages are deleted, and their outcome is REVOKED for those who wait for it.

What was to follow a task does not happen. A task whose time has come in the meantime is not cancelled; ` + "`revoke`" + ` keeps workers from
starting it.`,
		Example: `delayed cancel d97074ce-2c94-4422-8b08-14409aa9abab`,
		MinArgs: 1, MaxArgs: -1,
		Run: func(ctx context.Context, s *Session, ids []string) error { return s.cancelDelayed(ctx, ids) },
	}
}

func (s *Session) cancelDelayed(ctx context.Context, ids []string) error {
	app, err := s.App()
	if err != nil {
		return err
	}
	p, err := parking(ctx, app)
	if err != nil {
		return err
	}
	cancelled := map[string]*task.Request{}
	n, err := p.Unpark(ctx, func(m broker.Parked) bool {
		req := wire.Identify(broker.NewDelivery(m.Message, nil))
		if !slices.Contains(ids, req.ID) {
			return false
		}
		cancelled[req.ID] = req
		return true
	})
	if n > 0 {
		err = errors.Join(err, s.revokeOutcomes(ctx, app, cancelled))
	}
	if err != nil {
		return fmt.Errorf("cancel delayed tasks (%d done): %w", n, err)
	}
	var missing []string
	for _, id := range ids {
		if cancelled[id] == nil {
			missing = append(missing, id)
		}
	}
	if n == 0 {
		return Exit(Failure, fmt.Errorf("there is no delayed task with the id %s; `delayed list` shows those that there are", strings.Join(missing, " or ")))
	}
	for _, id := range missing {
		fmt.Fprintf(s.Err, "there is no delayed task with the id %s\n", id)
	}
	return printLine(s.Out, fmt.Sprintf("Cancelled %d delayed %s.", n, plural(n, "task")))
}

// revokeOutcomes tells those who wait for the tasks, where outcomes are kept.
func (s *Session) revokeOutcomes(ctx context.Context, app *taskq.App, cancelled map[string]*task.Request) error {
	results, err := app.Results(ctx)
	if results == nil || err != nil {
		return err
	}
	result, err := wire.EncodeException(&task.RemoteError{Type: "TaskRevokedError", Module: "celery.exceptions", Message: "revoked"}, nil)
	if err != nil {
		return err
	}
	for id, req := range cancelled {
		if spec := app.Registry().Lookup(req.Name); req.IgnoreResult || spec != nil && spec.Call.IgnoreResult && !req.KeepResult {
			continue
		}
		err = errors.Join(err, results.Store(ctx, task.Meta{
			ID: id, State: task.Revoked, Result: result, DoneAt: time.Now().UTC(),
			GroupID: req.Group, ParentID: req.ParentID, ReplyTo: req.ReplyTo, CorrelationID: req.CorrelationID,
		}))
	}
	return err
}
