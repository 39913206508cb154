package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/outbox"
)

func outboxCommand() Command {
	return Command{
		Use:   "outbox",
		Short: "Prepare the outbox, look into it, send what is in it",
		Long: `Prepare the outbox, look into it, send what is in it.

The outbox is a table of PostgreSQL that programs put calls into as part of their own transactions. Workers that know its URL
(--outbox, TASKQ_OUTBOX_URL) send what is committed; so does "outbox relay", where no worker does.`,
		Example: `outbox migrate --outbox postgres://localhost/shop
outbox list --failed`,
		Commands: []Command{
			outboxMigrateCommand(), outboxListCommand(), outboxRelayCommand(), outboxRetryCommand(), outboxDeleteCommand(),
		},
	}
}

func (s *Session) needsOutbox() error {
	if s.outboxConfig().URL != "" {
		return nil
	}
	return Exit(Misconfigured, errors.New("no outbox is configured; name its database with --outbox or TASKQ_OUTBOX_URL"))
}

// withOutbox opens the outbox for do.
func (s *Session) withOutbox(ctx context.Context, do func(*outbox.Store) error) error {
	if err := s.needsOutbox(); err != nil {
		return err
	}
	store, err := outbox.Open(ctx, s.outboxConfig())
	if err != nil {
		return Exit(Misconfigured, err)
	}
	err = do(store)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	if err := store.Close(closing); err != nil {
		s.Log.Debug("outbox could not be closed", "error", err)
	}
	return err
}

func outboxMigrateCommand() Command {
	return Command{
		Use: "migrate", Short: "Create the table and the indexes that are missing", Settings: []string{"outbox_url"},
		Example: `outbox migrate --outbox postgres://localhost/shop`,
		Run: func(ctx context.Context, s *Session, _ []string) error {
			return s.withOutbox(ctx, func(store *outbox.Store) error {
				if err := store.Migrate(ctx); err != nil {
					return err
				}
				return printLine(s.Out, fmt.Sprintf("The table %s is ready.", s.Config.Text("outbox_table")))
			})
		},
	}
}

// outboxRow is a message in the outbox as -o json prints it.
type outboxRow struct {
	ID         int64      `json:"id"`
	TaskID     string     `json:"task_id"`
	Task       string     `json:"task"`
	Exchange   string     `json:"exchange"`
	RoutingKey string     `json:"routing_key"`
	Created    time.Time  `json:"created"`
	NotBefore  *time.Time `json:"not_before"` // null: it goes at once
	Attempts   int        `json:"attempts"`   // that failed
	Error      string     `json:"error"`
}

func readOutboxRow(r outbox.Row) outboxRow {
	row := outboxRow{
		ID: r.ID, TaskID: r.TaskID, Task: r.Task, Exchange: r.To.Exchange, RoutingKey: r.To.RoutingKey, Created: r.Created.UTC(),
		Attempts: r.Attempts, Error: r.Error,
	}
	if !r.NotBefore.IsZero() {
		at := r.NotBefore.UTC()
		row.NotBefore = &at
	}
	return row
}

func (r outboxRow) cells() []string {
	to, at := r.RoutingKey, "-"
	if r.Exchange != "" {
		to = r.Exchange + " " + r.RoutingKey
	}
	if r.NotBefore != nil {
		at = r.NotBefore.Format(time.RFC3339)
	}
	return []string{
		strconv.FormatInt(r.ID, 10), r.Created.Format(time.RFC3339), orDash(r.TaskID), orDash(r.Task), to, at, strconv.Itoa(r.Attempts),
		orDash(shorten(cause(r.Error), 120)),
	}
}

func outboxListCommand() Command {
	var limit int
	var failed bool
	return Command{
		Use: "list", Short: "List what is in the outbox, the oldest first", Settings: []string{"outbox_url"}, Tabular: true,
		Example: `outbox list --failed
outbox list --limit 10 -o json`,
		Flags: func(flags *pflag.FlagSet) {
			flags.IntVar(&limit, "limit", 100, "`number` of calls to list at the most")
			flags.BoolVar(&failed, "failed", false, "those alone that the broker has refused")
		},
		Run: func(ctx context.Context, s *Session, _ []string) error {
			if limit < 1 {
				return Exit(Usage, fmt.Errorf("--limit: %d is less than one", limit))
			}
			return s.withOutbox(ctx, func(store *outbox.Store) error { return s.listOutbox(ctx, store, limit, failed) })
		},
	}
}

func (s *Session) listOutbox(ctx context.Context, store *outbox.Store, limit int, failed bool) error {
	rows, more := []outboxRow{}, false
	err := store.List(ctx, failed, func(r outbox.Row) bool {
		if more = len(rows) == limit; !more {
			rows = append(rows, readOutboxRow(r))
		}
		return !more
	})
	if err != nil {
		return err
	}
	t := Table{Header: []string{"ID", "CREATED", "TASK ID", "TASK", "TO", "NOT BEFORE", "ATTEMPTS", "ERROR"}, Data: rows}
	for _, r := range rows {
		t.Rows = append(t.Rows, r.cells())
	}
	if err := s.Print(t); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(s.Err, "there are more than the %d that are listed; --limit lists more\n", limit)
	}
	return nil
}

func outboxRelayCommand() Command {
	return Command{
		Use: "relay", Short: "Send what is in the outbox, until it is stopped",
		Long: `Send what is in the outbox, until SIGTERM or Ctrl+C stops it.

Any number of relays may run, in workers and by themselves: one of them sends, and another one takes its place when it ends.`,
		Settings: []string{"outbox_url", "queue_type", "declare"}, Example: `outbox relay --outbox postgres://localhost/shop -b amqp://localhost//`,
		signals: true,
		Run: func(ctx context.Context, s *Session, _ []string) error {
			if err := s.needsOutbox(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			app, err := s.open(taskq.Config{WaitForBroker: true})
			if err != nil {
				return err
			}
			relay, err := app.NewRelay(ctx)
			if ctx.Err() != nil {
				return nil // stopped before it began
			}
			if err != nil {
				return err
			}
			return relay.Run(ctx)
		},
	}
}

func outboxRetryCommand() Command {
	var all bool
	return Command{
		Use: "retry [ID...]", Short: "Have calls that the broker has refused sent again at once", Settings: []string{"outbox_url"}, MaxArgs: -1,
		Example: `outbox retry 4711
outbox retry --all`,
		Flags: func(flags *pflag.FlagSet) { flags.BoolVar(&all, "all", false, "all that have failed") },
		Run: func(ctx context.Context, s *Session, args []string) error {
			ids, err := rowIDs(args)
			if err == nil && (len(ids) > 0) == all {
				err = errors.New("say which calls to send again: their ids, or --all")
			}
			if err != nil {
				return Exit(Usage, err)
			}
			return s.withOutbox(ctx, func(store *outbox.Store) error {
				n, err := store.Retry(ctx, ids...)
				if err == nil && n < len(ids) {
					err = fmt.Errorf("%d of %d ids are of calls that have failed; `outbox list --failed` shows them", n, len(ids))
				}
				if err != nil {
					return err
				}
				return printLine(s.Out, fmt.Sprintf("%d %s will be sent again.", n, plural(n, "call")))
			})
		},
	}
}

func outboxDeleteCommand() Command {
	return Command{
		Use: "delete ID...", Short: "Delete calls that are in the outbox, which are never sent then", Settings: []string{"outbox_url"}, MinArgs: 1, MaxArgs: -1,
		Example: `outbox delete 4711 4712`,
		Run: func(ctx context.Context, s *Session, args []string) error {
			ids, err := rowIDs(args)
			if err != nil {
				return Exit(Usage, err)
			}
			return s.withOutbox(ctx, func(store *outbox.Store) error {
				n, err := store.Delete(ctx, ids...)
				if err == nil && n < len(ids) {
					err = fmt.Errorf("%d of %d ids were in the outbox, and are deleted", n, len(ids))
				}
				if err != nil {
					return err
				}
				return printLine(s.Out, fmt.Sprintf("Deleted %d %s.", n, plural(n, "call")))
			})
		},
	}
}

// rowIDs are numbers, as `outbox list` shows them.
func rowIDs(args []string) ([]int64, error) {
	var ids []int64
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no id; the first column of `outbox list` has them", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
