// Command chaos proves that taskq over RabbitMQ loses nothing: see package chaos.
//
//	chaos -list
//	chaos -seed 1 -run worker-kill
//	chaos -write docs/reliability.md
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/seed-399731e2/taskq/internal/chaos"
)

func main() {
	if chaos.IsWorker() {
		os.Exit(chaos.RunWorker())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop only gives signals back
	}
}

func run(ctx context.Context) error {
	seed := flag.Uint64("seed", 1, "decides what is drawn: kinds, times, victims")
	match := flag.String("run", "", "play only the cases whose name matches this regular expression")
	list := flag.Bool("list", false, "list the cases")
	every := flag.Bool("every", false, "play every queue type and pool of a case, instead of one that the seed chooses")
	keep := flag.String("dir", "", "keep the ledgers and logs in this directory")
	flag.Parse()
	pattern, err := regexp.Compile(*match)
	if err != nil {
		return err
	}
	if *list {
		for _, c := range chaos.Cases() {
			fmt.Printf("%-22s %s\n", c.Name, c.Fault)
		}
		return nil
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "taskq-chaos-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	world := &chaos.World{Dir: dir}
	defer func() { _ = world.Close() }()
	suite := &chaos.Suite{World: world, Seed: *seed, Match: pattern, Every: *every, Out: os.Stdout}
	results, err := suite.Run(ctx, chaos.Cases())
	failed := 0
	for _, r := range results {
		if !r.Verdict.OK() {
			failed++
		}
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d cases failed", failed, len(results))
	}
	return err
}
