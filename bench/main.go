// Command bench measures taskq beside the limit, the bare AMQP client, and other task queues, all in one run on one machine, and writes
// down what it found. It wants the servers of internal/testserver's command:
//
//	cd bench && ../bin/testservers go run . -mode quick
//
// BENCH_PYTHON names the Python whose Celery is measured; without it, it is the one that testservers found.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/report"
	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/bench/internal/scenario"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.list {
		for _, one := range scenario.All() {
			fmt.Printf("%-12s %s\n", one.Name, one.About)
		}
		return nil
	}
	measured, err := s.obtain(ctx)
	if s.out != "" && len(measured.Measures) > 0 {
		err = errors.Join(err, write(s.out, measured)) // what was measured before an interruption, too
	}
	if err != nil {
		return err
	}
	return show(measured, s.pages)
}

// show prints the measures, and writes them into the pages of a repository.
func show(measured result.Run, root string) error {
	if err := report.Text(os.Stdout, measured); err != nil {
		return err
	}
	if root != "" {
		if err := report.Write(root, measured); err != nil {
			return err
		}
	}
	return verdict(measured)
}

// obtain reads a run, or measures one, or a part of one again.
func (s settings) obtain(ctx context.Context) (result.Run, error) {
	if s.from != "" {
		return read(s.from)
	}
	if s.again == "" {
		return measure(ctx, s.mode, s.wanted)
	}
	before, err := read(s.again) // at once: measuring takes long
	if err != nil {
		return result.Run{}, err
	}
	if before.Mode != s.mode {
		return result.Run{}, fmt.Errorf("%s is a %s run: want -mode %s", s.again, before.Mode, before.Mode)
	}
	later, err := measure(ctx, s.mode, s.wanted)
	if err != nil {
		return later, err
	}
	var scenarios []string
	for _, one := range scenario.All() {
		if s.wanted.MatchString(one.Name) {
			scenarios = append(scenarios, one.Name)
		}
	}
	return before.With(later, scenarios), nil
}

// read reads a run from a file.
func read(file string) (kept result.Run, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return kept, fmt.Errorf("read a run: %w", err)
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return kept, fmt.Errorf("%s is no run of the harness: %w", file, err)
	}
	if len(kept.Measures) == 0 {
		return kept, fmt.Errorf("%s has no measures", file)
	}
	return kept, nil
}

// measure runs the scenarios. What was measured before an interruption comes with the error.
func measure(ctx context.Context, mode string, wanted *regexp.Regexp) (measured result.Run, err error) {
	servers := lab.FromEnvironment()
	if servers.RabbitMQ == "" {
		return measured, fmt.Errorf("%s is not set: run it under bin/testservers, as make bench does", testserver.AMQPVariable)
	}
	python := cmp.Or(os.Getenv("BENCH_PYTHON"), os.Getenv(testserver.PythonVariable)) // another one, say, with a newer Celery
	l, err := lab.New(lab.Config{Root: ".", Servers: servers, Python: python, Log: os.Stderr})
	if err != nil {
		return measured, err
	}
	defer func() { _ = l.Close() }() // a directory for temporary files
	measured = result.Run{Began: time.Now(), Mode: mode, Machine: lab.Machine(), Versions: l.Versions(ctx)}
	measured.Measures = scenario.New(l, servers, mode).Measure(ctx, wanted)
	measured.Took = time.Since(measured.Began)
	return measured, ctx.Err()
}

func write(path string, measured result.Run) error {
	text, err := json.MarshalIndent(measured, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // for everybody to read
}

// verdict is an error when something could not be measured.
func verdict(measured result.Run) error {
	failed := 0
	for _, m := range measured.Measures {
		if m.Failed != "" {
			failed++
			fmt.Fprintf(os.Stderr, "%s %s, %s (%s): %s\n", m.Scenario, m.Variant, m.Subject, m.Setting, m.Failed)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d measures failed", failed, len(measured.Measures))
	}
	return nil
}
