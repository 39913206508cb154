// Command testservers brings up the servers that the tests need, runs a command with their addresses in its environment, and
// takes everything down again:
//
//	testservers go test ./...
//
// It exits with the command's code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// bringUpTimeout bounds everything before the command, the installation of packages included.
const bringUpTimeout = 20 * time.Minute

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: the command's, or 1 when it could not be run.
func run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: testservers COMMAND [ARGUMENT...]")
		return 64
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := withServers(ctx, func(env []string) error { return runCommand(ctx, args, env) })
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testservers:", err)
		return 1
	}
	return 0
}

// withServers calls fn while the servers are up; env is what the tests have to know of them.
func withServers(ctx context.Context, fn func(env []string) error) (err error) {
	up := new(servers)
	defer func() { err = errors.Join(err, up.takeDown()) }()
	starting, cancel := context.WithTimeout(ctx, bringUpTimeout)
	defer cancel()
	if err := up.bringUp(starting); err != nil {
		return err
	}
	return fn(up.env)
}

// say tells the user how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
