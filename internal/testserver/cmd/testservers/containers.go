package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

const (
	composeFile    = "compose.yaml"
	composeTimeout = 5 * time.Minute // the images are fetched the first time
	// the accounts of compose.yaml, whose servers listen on 127.0.0.1 only
	composeUser = "taskq"
)

// startContainers brings the servers up with a container engine. It returns false, having left nothing behind, when no engine
// answers or the engine cannot do it; then another way is taken.
func (s *servers) startContainers(ctx context.Context, wanted []string) bool {
	engine := findEngine(ctx)
	if engine == "" {
		return false
	}
	if _, err := os.Stat(composeFile); err != nil {
		return false
	}
	c := compose{engine: engine, project: fmt.Sprintf("taskq-test-%d", os.Getpid())}
	say("starting containers with %s …", engine)
	begin := time.Now()
	addresses, err := c.up(ctx)
	if err != nil {
		say("containers did not start, using installed programs instead: %v", err)
		_ = c.down() // what came up of them, if anything did
		return false
	}
	s.atEnd(c.down)
	for variable, address := range addresses {
		if variable == testserver.APIVariable || slices.Contains(wanted, variable) {
			s.export(variable, address)
		}
	}
	say("containers ready (%.1f s)", time.Since(begin).Seconds())
	return true
}

// findEngine returns the container engine that answers and has compose; "" if there is none.
func findEngine(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, engine := range []string{"docker", "podman"} {
		if exec.CommandContext(ctx, engine, "info").Run() == nil &&
			exec.CommandContext(ctx, engine, "compose", "version").Run() == nil {
			return engine
		}
	}
	return ""
}

// compose is one project of the compose file.
type compose struct {
	engine, project string
}

// up starts the services and returns their addresses by environment variable.
func (c compose) up(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, composeTimeout)
	defer cancel()
	if _, err := c.run(ctx, "up", "--detach", "--wait"); err != nil {
		return nil, err
	}
	user := url.UserPassword(composeUser, composeUser)
	addresses := map[string]string{}
	for _, service := range []struct{ variable, name, port, scheme, path string }{
		{testserver.AMQPVariable, "rabbitmq", "5672", "amqp", "/"},
		{testserver.APIVariable, "rabbitmq", "15672", "http", ""},
		{testserver.PostgresVariable, "postgres", "5432", "postgres", "/" + composeUser},
		{testserver.RedisVariable, "redis", "6379", "redis", "/0"},
	} {
		host, err := c.run(ctx, "port", service.name, service.port)
		if err != nil {
			return nil, err
		}
		u := url.URL{Scheme: service.scheme, User: user, Host: strings.TrimSpace(host), Path: service.path}
		addresses[service.variable] = u.String()
	}
	return addresses, nil
}

// down removes the containers and their volumes. It has a time of its own, for it also runs after an interrupt.
func (c compose) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.run(ctx, "down", "--volumes", "--timeout", "1")
	return err
}

func (c compose) run(ctx context.Context, args ...string) (string, error) {
	all := append([]string{"compose", "--file", composeFile, "--project-name", c.project}, args...)
	out, err := exec.CommandContext(ctx, c.engine, all...).Output()
	if err != nil {
		return "", fmt.Errorf("%s compose %s: %w", c.engine, args[0], err)
	}
	return string(out), nil
}
