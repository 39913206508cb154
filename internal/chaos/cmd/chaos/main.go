// Command chaos proves that taskq over RabbitMQ loses nothing: see package chaos.
//
//	chaos -list
//	chaos -seed 1 -run worker-kill
//	chaos -write docs/reliability.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

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

// options are the command line.
type options struct {
	seed        uint64
	match       string
	list, every bool
	dir, write  string
	soak        time.Duration
}

func parse() options {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "decides what is drawn: queue type and pool, victims, times")
	flag.StringVar(&o.match, "run", "", "play only the cases whose name matches this regular expression")
	flag.BoolVar(&o.list, "list", false, "list the cases")
	flag.BoolVar(&o.every, "every", false, "play every queue type and pool of a case, instead of one that the seed chooses")
	flag.StringVar(&o.dir, "dir", "", "keep the ledgers and logs in this directory")
	flag.StringVar(&o.write, "write", "", "write the results into this page")
	flag.DurationVar(&o.soak, "soak", chaos.SoakTime, "how long the case soak goes on")
	flag.Parse()
	return o
}

func run(ctx context.Context) (err error) {
	o := parse()
	pattern, err := regexp.Compile(o.match)
	if err != nil {
		return err
	}
	cases := chaos.Cases(o.soak)
	if o.list {
		for _, c := range cases {
			fmt.Printf("%-22s %s\n", c.Name, c.Fault)
		}
		return nil
	}
	if o.write != "" && o.match != "" {
		return errors.New("chaos: -write wants the results of all cases, so there is no -run with it")
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "taskq-chaos-"); err != nil {
			return err
		}
		defer func() {
			if err == nil { // else somebody will want to read them
				_ = os.RemoveAll(o.dir)
			}
		}()
	}
	world := &chaos.World{Dir: o.dir}
	defer func() { err = errors.Join(err, world.Close()) }()
	fmt.Printf("seed %d\n", o.seed)
	begin := time.Now()
	suite := &chaos.Suite{World: world, Seed: o.seed, Match: pattern, Every: o.every, Out: os.Stdout}
	results, err := suite.Run(ctx, cases)
	if err == nil && o.write != "" {
		err = write(ctx, o, world, cases, results, time.Since(begin))
	}
	return errors.Join(err, failures(results))
}

func write(ctx context.Context, o options, world *chaos.World, cases []chaos.Case, results []*chaos.Result, took time.Duration) error {
	versions, err := world.Versions(ctx, o.seed, took)
	if err != nil {
		return err
	}
	return chaos.Write(o.write, cases, results, versions)
}

// failures is an error when there are any.
func failures(results []*chaos.Result) error {
	failed := 0
	for _, r := range results {
		if !r.Verdict.OK() {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(results))
	}
	return nil
}
