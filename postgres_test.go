package taskq_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
)

func TestOutcomesAreKeptInPostgreSQL(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	app := newApp(t, taskq.Config{BrokerURL: "memory://", ResultBackend: strings.Replace(database, "postgres://", "postgresql://", 1)}, add())
	work, err := app.NewWorker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- work.Run(ctx) }()
	sent, err := add().Send(t.Context(), app, pair{X: 2, Y: 3})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := sent.Get(t.Context()); err != nil || sum != 5 {
		t.Errorf("sum = %d, %v", sum, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	elsewhere := newApp(t, taskq.Config{BrokerURL: "memory://", ResultBackend: database})
	if meta, err := elsewhere.Result(sent.ID()).Wait(t.Context()); err != nil || string(meta.Result) != "5" {
		t.Errorf("another program reads %s, %v", meta.Result, err)
	}
}

func TestAWorkerWhoseOutcomesCouldNeverBeStoredDoesNotStart(t *testing.T) {
	t.Parallel()
	wrong, err := url.Parse(testserver.Postgres(t))
	if err != nil {
		t.Fatal("no URL")
	}
	wrong.User = url.UserPassword(wrong.User.Username(), "s3cret")
	app := newApp(t, taskq.Config{BrokerURL: "memory://", ResultBackend: wrong.String()}, add())
	if _, err := app.NewWorker(t.Context()); !errors.Is(err, result.ErrAccess) || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "correct user and password") {
		t.Errorf("err = %v, want ErrAccess", err)
	}
	app = newApp(t, taskq.Config{BrokerURL: "memory://", ResultBackend: "postgres://u:s3cret@127.0.0.1:1/d"}, add())
	if _, err := app.NewWorker(t.Context()); err != nil {
		t.Errorf("a store that is away: %v", err)
	}
	if _, err := app.Result("x").Wait(t.Context()); !errors.Is(err, result.ErrUnavailable) || strings.Count(err.Error(), "127.0.0.1:1 ") != 1 ||
		!strings.Contains(err.Error(), "start PostgreSQL there") {
		t.Errorf("err = %v, want the address once, and what to do", err)
	}
}

func TestCelerysNamesForDatabasesAreExplained(t *testing.T) {
	t.Parallel()
	for backend, remedy := range map[string]string{
		"django-db":                                  "postgres://user:password@host/name",
		"db+postgresql://u:s3cret@localhost/d":       "postgres://",
		"db+postgresql+psycopg2://u:s3cret@host/d":   "postgres://",
		"cassandra://u:s3cret@localhost/d":           "postgres://",
		"postgres://u:s3cret@localhost:port/d?a=%zz": "",
	} {
		app, err := taskq.New(taskq.Config{BrokerURL: "memory://", ResultBackend: backend})
		if err == nil {
			_, err = app.Results(t.Context())
		}
		if !errors.Is(err, broker.ErrInvalid) && !errors.Is(err, result.ErrAccess) || !strings.Contains(err.Error(), remedy) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: err = %v, want one that says %q", backend, err, remedy)
		}
	}
}
