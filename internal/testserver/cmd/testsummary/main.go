// Command testsummary runs "go test" with the arguments given, in this module and in those nested below it that have the packages, and
// says what came of it: one line for each package that passed, everything that a failed test wrote, and at the end the figures of the run:
//
//	testsummary -race ./...
//
// It exits with 1 when anything failed, or was skipped although TASKQ_TEST_REQUIRE is 1.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	// go test gets the interrupt as well, and ends; the figures up to there are wanted all the same
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	modules, err := findModules(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		return 1
	}
	begin := time.Now()
	summary := newSummary(os.Stdout)
	for i, dir := range modules {
		if i > 0 && !has(dir, args) { // what is missing in the first one is a mistake, which go test tells
			continue
		}
		if err := testModule(summary, dir, args); err != nil {
			fmt.Fprintln(os.Stderr, "testsummary:", err)
			return 1
		}
	}
	summary.finish(time.Since(begin))
	if summary.failed() || summary.skipped > 0 && os.Getenv("TASKQ_TEST_REQUIRE") == "1" {
		return 1
	}
	return 0
}

// testModule runs the tests of the module in dir. That tests failed is no error; it is in the summary.
func testModule(summary *summary, dir string, args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:noctx // the interrupt ends it
	cmd.Dir = dir
	events, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, os.Stderr
	read := make(chan error, 1)
	go func() { read <- summary.read(events) }()
	err := cmd.Run()
	_ = writer.Close() // never fails
	if readErr := <-read; readErr != nil {
		return readErr
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		return fmt.Errorf("run go test in %s: %w", dir, err)
	}
	if ok && !summary.failed() {
		summary.interrupted(fmt.Sprintf("go test in %s: %s", dir, exitReason(exit)))
	}
	return nil
}

func exitReason(exit *exec.ExitError) string {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return exit.String()
}
