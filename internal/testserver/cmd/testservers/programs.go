package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// policyFile is asked by Debian's packages whether they may start their services.
const policyFile = "/usr/sbin/policy-rc.d"

// ways is what a user can do when the programs are missing and cannot be installed.
const ways = `the tests need RabbitMQ, PostgreSQL, Redis and Celery for Python. Any of these helps:
  1. set %s, %s and %s to servers of your own, and install the missing programs
  2. start Docker or Podman, for the shared servers, and install the missing programs
  3. install the missing programs: %s
  4. run this as root on Debian or Ubuntu, where it installs them itself`

// ensurePrograms installs what is missing if this is Debian and root.
func ensurePrograms(ctx context.Context) error {
	python := os.Getenv(testserver.PythonVariable)
	missing := instance.Missing(ctx, python)
	if len(missing) == 0 {
		return nil
	}
	packages := make([]string, 0, len(missing))
	for _, m := range missing {
		packages = append(packages, m.Package)
	}
	list := strings.Join(packages, " ")
	explain := fmt.Errorf(ways, testserver.AMQPVariable, testserver.PostgresVariable, testserver.RedisVariable, list)
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return explain
	}
	say("installing %s …", list)
	if err := install(ctx, packages); err != nil {
		return fmt.Errorf("%w\n%w", err, explain)
	}
	if still := instance.Missing(ctx, python); len(still) > 0 {
		return fmt.Errorf("%w\n%w", still[0], explain)
	}
	return nil
}

// install installs Debian packages and keeps their services from starting.
func install(ctx context.Context, packages []string) (err error) {
	forbid, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forbid()) }()
	args := append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)
	if aptGet(ctx, args...) == nil {
		return nil
	}
	// the lists of packages are missing, as in a fresh image, or old
	if err := aptGet(ctx, "update", "-q"); err != nil {
		return err
	}
	return aptGet(ctx, args...)
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// forbidServices has the packages not start their services until the returned function is called. A policy that is already
// there is the administrator's and stays as it is.
func forbidServices() (undo func() error, err error) {
	file, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("forbid services: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("forbid services: %w", err)
	}
	return func() error { return os.Remove(policyFile) }, nil
}
