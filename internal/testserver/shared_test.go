package testserver_test

import (
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

func TestVhostsAreApart(t *testing.T) {
	t.Parallel()
	_, first := dial(t, testserver.AMQPVhost(t))
	if _, err := first.QueueDeclare("celery", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	_, second := dial(t, testserver.AMQPVhost(t))
	if _, err := second.QueueDeclarePassive("celery", true, false, false, false, nil); err == nil {
		t.Error("the second vhost has the first one's queue")
	}
}

func TestDatabasesAreApartAndDropped(t *testing.T) {
	t.Parallel()
	var before string
	t.Run("one", func(t *testing.T) {
		before = testserver.Postgres(t)
		if _, err := connect(t, before).Exec(t.Context(), "CREATE TABLE visits (id int)"); err != nil {
			t.Fatal(err)
		}
		other := connect(t, testserver.Postgres(t))
		if _, err := other.Exec(t.Context(), "SELECT * FROM visits"); err == nil {
			t.Error("the second database has the first one's table")
		}
	})
	var left int
	row := connect(t, testserver.Postgres(t)).QueryRow(t.Context(),
		"SELECT count(*) FROM pg_database WHERE datname = substring($1 from '/(test_[a-z0-9]+)')", before)
	if err := row.Scan(&left); err != nil || left != 0 {
		t.Errorf("%d databases left of the first test, error %v; want none", left, err)
	}
}

func TestRedisDatabasesAreApartAndEmptied(t *testing.T) {
	t.Parallel()
	var before string
	t.Run("one", func(t *testing.T) {
		before = testserver.Redis(t)
		redisDo(t, before, "SET", "kept", "7")
		if got := redisDo(t, testserver.Redis(t), "GET", "kept"); got != "" {
			t.Errorf("the second database has the first one's key: %q", got)
		}
	})
	if got := redisDo(t, before, "GET", "kept"); got != "" {
		t.Errorf("after the test the key is %q, want it gone", got)
	}
}

func redisDo(t *testing.T, address string, command ...string) string {
	t.Helper()
	answer, err := instance.RedisDo(t.Context(), address, command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
