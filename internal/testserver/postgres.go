package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// insufficientPrivilege is PostgreSQL's error code 42501.
const insufficientPrivilege = "42501"

// Postgres returns the URL of a fresh, empty database on the run's PostgreSQL, or of a fresh schema when its role may not
// create databases. It is dropped, with whatever is connected to it, after the test.
func Postgres(t testing.TB) string {
	t.Helper()
	address := os.Getenv(PostgresVariable)
	if address == "" {
		unavailable(t, "PostgreSQL", `run "make test", or set `+PostgresVariable)
	}
	name := "test_" + strings.ToLower(rand.Text())
	err := pgExec(t.Context(), address, "CREATE DATABASE "+name)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == insufficientPrivilege {
		return postgresSchema(t, address, name)
	}
	if err != nil {
		t.Fatalf("create database: %v", err)
	}
	dropAfter(t, address, "DROP DATABASE "+name+" WITH (FORCE)")
	u := mustParse(t, address)
	u.Path = "/" + name
	return u.String()
}

func postgresSchema(t testing.TB, address, name string) string {
	t.Helper()
	if err := pgExec(t.Context(), address, "CREATE SCHEMA "+name); err != nil {
		t.Fatalf("create schema: %v", err)
	}
	dropAfter(t, address, "DROP SCHEMA "+name+" CASCADE")
	u := mustParse(t, address)
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String()
}

func dropAfter(t testing.TB, address, statement string) {
	t.Helper()
	t.Cleanup(func() {
		if err := pgExec(context.WithoutCancel(t.Context()), address, statement); err != nil {
			t.Errorf("drop what the test had: %v", err)
		}
	})
}

func mustParse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("%s is not a URL", PostgresVariable) // the error would quote the password
	}
	return u
}

func pgExec(ctx context.Context, address, statement string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("testserver: connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("testserver: %w", err)
	}
	return nil
}
