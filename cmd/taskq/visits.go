package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/cli/config"
)

// visits adds the task access_record, its settings and its commands.
func visits() cli.Extension {
	form := &visitForm{}
	return cli.Extension{
		Settings: []config.Key{
			{
				Name: "database.url", Kind: config.URL, Flag: "database", Secret: true,
				Help: "database for visits: postgres://user:password@host/name or sqlite:///path; none means the embedded store",
			},
			{Name: "database.schema", Flag: "database-schema", Hint: "name", Help: "PostgreSQL schema of the table for visits"},
			{
				Name: "database.table", Flag: "database-table", Hint: "name", Default: accessrecord.DefaultTable,
				Help: "table for visits; one that exists, such as a Django model's, is used as it is",
			},
		},
		Setup: func(s *cli.Session, app *taskq.App) error {
			recorder, err := openRecorder(s)
			if err != nil {
				return err
			}
			return app.Register(recorder.Task())
		},
		Commands: []cli.Command{visitsCommand()},
		Forms:    []cli.Form{form.form()},
	}
}

func visitsCommand() cli.Command {
	settings := []string{"database.url", "database.schema", "database.table"}
	var rows int
	return cli.Command{
		Use: "accessrecord", Short: "Show the stored visits, prepare the database",
		Commands: []cli.Command{
			{
				Use: "list", Short: "Show the newest visits", Settings: settings, Tabular: true,
				Example: `accessrecord list
accessrecord list -N 100 -o json --database postgres://localhost/site`,
				Flags: func(flags *pflag.FlagSet) {
					flags.IntVarP(&rows, "number", "N", 20, "`number` of visits to show")
				},
				Run: func(ctx context.Context, s *cli.Session, _ []string) error { return list(ctx, s, rows) },
			},
			{
				Use: "migrate", Short: "Create the tables and indexes that are missing", Settings: settings,
				Example: `accessrecord migrate --database postgres://localhost/site`,
				Run:     migrate,
			},
		},
	}
}

func openRecorder(s *cli.Session) (*accessrecord.Recorder, error) {
	recorder, err := accessrecord.New(accessrecord.Config{
		Database: s.Config.Text("database.url"),
		Schema:   s.Config.Text("database.schema"),
		Table:    s.Config.Text("database.table"),
		Logger:   s.Log,
	})
	if err != nil {
		return nil, cli.Exit(cli.Misconfigured, err)
	}
	s.Cleanup(func() {
		if err := recorder.Close(); err != nil {
			s.Log.Debug("database could not be closed", "error", err)
		}
	})
	return recorder, nil
}

// databaseWait bounds a command's work with the database.
const databaseWait = 30 * time.Second

func list(ctx context.Context, s *cli.Session, n int) error {
	if n < 1 {
		return cli.Exit(cli.Usage, errors.New("--number: at least 1 is wanted"))
	}
	recorder, err := openRecorder(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	rows, err := recorder.List(ctx, n)
	if err != nil {
		return databaseError(err)
	}
	t := cli.Table{Header: []string{"ID", "TIME", "ADDRESS", "PATH", "QUERY", "REFERER", "SOURCE", "USER AGENT"}, Data: rows}
	if rows == nil {
		t.Data = []accessrecord.Row{}
	}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			strconv.FormatInt(r.ID, 10), r.ATime.UTC().Format(time.RFC3339), r.Address, r.Path, r.QueryStr, r.Referer, r.Source, r.UserAgent,
		})
	}
	return s.Print(t)
}

func migrate(ctx context.Context, s *cli.Session, _ []string) error {
	recorder, err := openRecorder(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	if err := recorder.Migrate(ctx); err != nil {
		return databaseError(err)
	}
	_, err = fmt.Fprintf(s.Out, "the table %s is ready\n", s.Config.Text("database.table"))
	return err
}

// databaseError gives the errors of a database the exit status that fits.
func databaseError(err error) error {
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		switch state := server.SQLState(); {
		case strings.HasPrefix(state, "28"), state == "3D000": // wrong user or password, no such database
			return cli.Exit(cli.Misconfigured, fmt.Errorf("%w; check the URL of --database", err))
		case strings.HasPrefix(state, "08"), strings.HasPrefix(state, "57P"): // lost, or shutting down
			return cli.Exit(cli.Unavailable, err)
		}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return cli.Exit(cli.Unavailable, fmt.Errorf("%w; is the database running there? Name another one with --database or TASKQ_DATABASE_URL", err))
	}
	return err
}
