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
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
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
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	mode := flags.String("mode", scenario.Full, "how much: "+strings.Join(scenario.Modes(), ", "))
	pattern := flags.String("run", "", "only the scenarios whose names match this `regexp`")
	out := flags.String("out", "", "the `file` that the measures are written to, in JSON")
	from := flags.String("from", "", "show the measures of this `file`, and measure nothing")
	root := flags.String("write", "", "the `directory` of the repository into whose pages a full run is written")
	list := flags.Bool("list", false, "list the scenarios and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, s := range scenario.All() {
			fmt.Printf("%-12s %s\n", s.Name, s.About)
		}
		return nil
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if !slices.Contains(scenario.Modes(), *mode) {
		return fmt.Errorf("-mode %s: want one of %s", *mode, strings.Join(scenario.Modes(), ", "))
	}
	measured, err := obtain(*from, func() (result.Run, error) { return measure(ctx, *mode, wanted) })
	if *out != "" && len(measured.Measures) > 0 {
		err = errors.Join(err, write(*out, measured)) // what was measured before an interruption, too
	}
	if err != nil {
		return err
	}
	return show(measured, *root)
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

// obtain reads a run, or measures one when no file is named.
func obtain(file string, measure func() (result.Run, error)) (measured result.Run, err error) {
	if file == "" {
		return measure()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return measured, err
	}
	if err := json.Unmarshal(text, &measured); err != nil {
		return measured, fmt.Errorf("%s is no run: %w", file, err)
	}
	return measured, nil
}

// measure runs the scenarios. What was measured before an interruption comes with the error.
func measure(ctx context.Context, mode string, wanted *regexp.Regexp) (measured result.Run, err error) {
	servers := lab.FromEnvironment()
	if servers.RabbitMQ == "" {
		return measured, fmt.Errorf("%s is not set: run it under ../bin/testservers", testserver.AMQPVariable)
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
