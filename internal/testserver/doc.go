// Package testserver gives tests the real servers and the real Python that they need: a RabbitMQ, a PostgreSQL and a Redis
// shared by the run, each test with a vhost or database of its own; private servers that a test may kill; a Celery worker; a proxy that
// breaks connections.
//
// The addresses come from the environment, which the command testservers sets up before it runs the tests ("make test"). A
// test whose server is not there is skipped, or fails when TASKQ_TEST_REQUIRE is 1.
package testserver

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// The environment that testservers hands to the tests.
const (
	AMQPVariable     = "TASKQ_TEST_AMQP_URL"     // RabbitMQ with its default vhost
	APIVariable      = "TASKQ_TEST_RABBITMQ_API" // its management API with user and password; unset: port 15672 beside it
	PostgresVariable = "TASKQ_TEST_POSTGRES_URL" // PostgreSQL with a role that may create databases or schemas
	RedisVariable    = "TASKQ_TEST_REDIS_URL"    // Redis 7 with databases that are empty
	PythonVariable   = "TASKQ_TEST_PYTHON"       // a Python that can import celery
	RequireVariable  = "TASKQ_TEST_REQUIRE"      // 1: a missing server is a failure
)

// startTimeout bounds the start of a server on a busy machine.
const startTimeout = 90 * time.Second

// unavailable ends the test because what it needs is not there.
func unavailable(t testing.TB, what, remedy string) {
	t.Helper()
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf("%s is required and missing: %s", what, remedy)
	}
	t.Skipf("no %s: %s", what, remedy)
}

// Started ends the test when an instance could not be started. One that is not installed is a failure where servers are required, as
// in "make test", and else skips the test, which says what to install.
func Started(t testing.TB, what string, err error) {
	t.Helper()
	if missing, ok := errors.AsType[*instance.MissingError](err); ok {
		unavailable(t, what, missing.Error())
	}
	if err != nil {
		t.Fatalf("start %s: %v", what, err)
	}
}

// startContext bounds a start; it ends with the test.
func startContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	return ctx
}
