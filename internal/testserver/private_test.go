package testserver_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

func TestPrivateRabbitMQKeepsItsAddressAndMessagesWhenKilled(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	conn, channel := dial(t, server.URL)
	if _, err := channel.QueueDeclare("kept", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("hello")}
	confirmation, err := channel.PublishWithDeferredConfirm("", "kept", true, false, message)
	if err != nil {
		t.Fatal(err)
	}
	if !confirmation.Wait() {
		t.Fatal("message was not confirmed")
	}
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))

	server.Restart()

	if reason := <-closed; reason == nil {
		t.Error("the connection outlived its server")
	}
	_, channel = dial(t, server.URL)
	got, ok, err := channel.Get("kept", true)
	if err != nil || !ok || string(got.Body) != "hello" {
		t.Errorf("after the restart: message %q, found %t, error %v; want hello", got.Body, ok, err)
	}
}

func TestPrivateRabbitMQClosesConnectionsAsAnOperator(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	conn, _ := dial(t, server.URL)
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	server.CloseConnections()
	if reason := <-closed; reason == nil || reason.Code != amqp.ConnectionForced {
		t.Errorf("connection closed with %v, want code %d", reason, amqp.ConnectionForced)
	}
	if got := server.Eval("1 + 1"); got != "2" {
		t.Errorf("1 + 1 = %s in Erlang, want 2", got)
	}
}

func TestPrivatePostgreSQLKeepsWhatWasCommittedWhenKilled(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	conn := connect(t, server.URL)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the connection outlived its server")
	}
	var n int
	if err := connect(t, server.URL).QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("after the restart: n = %d, error %v; want 7", n, err)
	}
}

func TestPrivatePostgreSQLTerminatesBackends(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	conn := connect(t, server.URL)
	if ended := server.TerminateBackends(); ended != 1 {
		t.Errorf("%d backends ended, want 1", ended)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the connection outlived its backend")
	}
}

func TestPrivateRedisKeepsWhatItConfirmedWhenKilled(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	if got := server.Do("SET", "kept", "7"); got != "OK" {
		t.Fatalf("SET answered %q", got)
	}
	server.Restart()
	if got := server.Do("GET", "kept"); got != "7" {
		t.Errorf("after the restart: %q, want 7", got)
	}
}

func TestPrivateRedisWantsItsPassword(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(testserver.StartRedis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("", "wrong")
	if _, err := instance.RedisDo(t.Context(), u.String(), "PING"); err == nil {
		t.Error("a wrong password is taken")
	}
}

func dial(t *testing.T, url string) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return conn, channel
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
