package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// interruptGrace is how long an interrupted command may take to end before it is killed.
const interruptGrace = 10 * time.Second

// runCommand runs the command in a process group of its own. When ctx is done the whole group is interrupted, and killed after
// a grace: the go command alone would leave the test programs behind.
func runCommand(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	group(cmd)
	cmd.Cancel = func() error { return interruptGroup(cmd.Process) }
	cmd.WaitDelay = interruptGrace
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	err := cmd.Wait()
	killGroup(cmd.Process) // whatever the command has left behind
	return err
}
