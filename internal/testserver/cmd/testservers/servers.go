package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// privateTimeout bounds the start of one private server.
const privateTimeout = 2 * time.Minute

// servers is everything that was brought up for the tests.
type servers struct {
	env []string // for the command

	mu    sync.Mutex
	close []func() error // in the order of starting
}

// bringUp takes, for each server, the first way that works: the address in the environment; a container engine; an installed
// program; a Debian package, installed now. The programs must be there in any case, for the tests that kill servers and those
// that run Python.
func (s *servers) bringUp(ctx context.Context) error {
	if err := ensurePrograms(ctx); err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	python, err := instance.FindPython(ctx, os.Getenv(testserver.PythonVariable))
	if err != nil {
		return err
	}
	s.export(testserver.PythonVariable, python)
	s.export(testserver.RequireVariable, "1")

	wanted := s.takeGiven()
	if len(wanted) == 0 {
		return nil
	}
	if s.startContainers(ctx, wanted) {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, variable := range wanted {
		group.Go(func() error { return s.start(ctx, variable) })
	}
	return group.Wait()
}

// takeGiven leaves the servers whose addresses are in the environment to the command as they are, and returns the variables of
// the others.
func (s *servers) takeGiven() (wanted []string) {
	for _, variable := range []string{testserver.AMQPVariable, testserver.PostgresVariable, testserver.RedisVariable} {
		if os.Getenv(variable) == "" {
			wanted = append(wanted, variable)
			continue
		}
		say("using the server that %s names", variable)
	}
	return wanted
}

// makeDir makes the directory that this run's servers, and those of its tests, keep their files in.
func (s *servers) makeDir() error {
	parent := ""
	if os.Geteuid() == 0 {
		parent = "/tmp" // PostgreSQL, which does not run as root, must reach it
	}
	dir, err := os.MkdirTemp(parent, "taskq-test-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	s.atEnd(func() error { return removeAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // servers that run as another user pass through it
		return fmt.Errorf("open directory: %w", err)
	}
	s.export(instance.DirVariable, dir)
	return os.Setenv(instance.DirVariable, dir)
}

// removeAll tries again for a while: a server of a killed test may still be writing its last.
func removeAll(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// server is a private one.
type server interface {
	URL() string
	Version(ctx context.Context) (string, error)
	Close() error
}

// start brings up the server of a variable.
func (s *servers) start(ctx context.Context, variable string) error {
	ctx, cancel := context.WithTimeout(ctx, privateTimeout)
	defer cancel()
	begin := time.Now()
	var name string
	var private server
	var err error
	switch variable {
	case testserver.AMQPVariable:
		name = "RabbitMQ"
		private, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Management: true})
	case testserver.PostgresVariable:
		name = "PostgreSQL"
		private, err = instance.StartPostgreSQL(ctx)
	case testserver.RedisVariable:
		name = "Redis"
		private, err = instance.StartRedis(ctx, instance.RedisConfig{})
	}
	if err != nil {
		return err
	}
	s.atEnd(private.Close)
	version, err := private.Version(ctx)
	if err != nil {
		return err
	}
	s.export(variable, private.URL())
	if rabbit, ok := private.(*instance.RabbitMQ); ok {
		s.export(testserver.APIVariable, rabbit.API())
	}
	sayReady(name, version, private.URL(), begin)
	return nil
}

// sayReady leaves everything but host and port out of the address.
func sayReady(name, version, address string, begin time.Time) {
	_, rest, _ := strings.Cut(address, "@")
	host, _, _ := strings.Cut(rest, "/")
	say("%s %s ready on %s (%.1f s)", name, version, host, time.Since(begin).Seconds())
}

func (s *servers) export(variable, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.env = append(s.env, variable+"="+value)
}

func (s *servers) atEnd(fn func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close = append(s.close, fn)
}

// takeDown ends everything in the opposite order.
func (s *servers) takeDown() error {
	var errs []error
	for _, fn := range slices.Backward(s.close) {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}
