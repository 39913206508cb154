package lab

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/bench/internal/proc"
	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// Servers are the URLs of those to measure against; "" is one that is not there.
type Servers struct {
	RabbitMQ string
	Postgres string
	Redis    string
}

// FromEnvironment are the servers that internal/testserver's command has brought up.
func FromEnvironment() Servers {
	return Servers{
		RabbitMQ: os.Getenv(testserver.AMQPVariable), Postgres: os.Getenv(testserver.PostgresVariable), Redis: os.Getenv(testserver.RedisVariable),
	}
}

// Has reports whether the server is there.
func (s Servers) Has(server Server) bool {
	switch server {
	case RabbitMQ:
		return s.RabbitMQ != ""
	case Redis:
		return s.Redis != ""
	case Postgres:
		return s.Postgres != ""
	}
	return true
}

// processes finds the servers' processes on this machine. Those of others, or in containers, are left out, and their CPU with them.
func (s Servers) processes() map[string]int {
	found := map[string]int{}
	for name, server := range map[string]struct {
		url   string
		port  int
		names []string
	}{
		result.OfRabbitMQ: {s.RabbitMQ, 5672, []string{"beam.smp"}},
		result.OfPostgres: {s.Postgres, 5432, []string{"postgres", "postmaster"}},
		result.OfRedis:    {s.Redis, 6379, []string{"redis-server"}},
	} {
		u, err := url.Parse(server.url)
		if err != nil || server.url == "" || !isLocal(u.Hostname()) {
			continue
		}
		if port, err := strconv.Atoi(u.Port()); err == nil {
			server.port = port
		}
		if pid, err := proc.Listening(server.port, server.names...); err == nil {
			found[name] = pid
		}
	}
	return found
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// query runs a statement that returns one number, or nothing.
func query(ctx context.Context, database, statement string) (n int, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, fmt.Errorf("lab: PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if strings.HasPrefix(statement, "SELECT") {
		err = conn.QueryRow(ctx, statement).Scan(&n)
	} else {
		_, err = conn.Exec(ctx, statement)
	}
	if err != nil {
		return 0, fmt.Errorf("lab: PostgreSQL: %w", err)
	}
	return n, nil
}

// redis runs a command.
func redis(ctx context.Context, address string, command ...string) (string, error) {
	return instance.RedisDo(ctx, address, command...)
}
