package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/worker"
)

// workerFlags are the flags of `worker` that are no settings.
type workerFlags struct{ purge, alone bool }

func (p *program) workerCommand() Command {
	f := &workerFlags{}
	settings := []string{"queue_type", "declare", "outbox_url"}
	for _, key := range workerSettings() {
		if key.Flag != "" {
			settings = append(settings, key.Name)
		}
	}
	for _, e := range p.extensions {
		for _, key := range e.Settings {
			if key.Flag != "" {
				settings = append(settings, key.Name)
			}
		}
	}
	return Command{
		Use:   "worker",
		Short: "Take tasks from queues and run them",
		Long: `Take tasks from queues and run them.

The first SIGTERM or Ctrl+C is a warm shutdown: running tasks end, the others go back to their queues. The second one, or
SIGQUIT, is a cold shutdown: running tasks are cancelled. The third one ends the process at once. As with Celery, the variable
REMAP_SIGTERM=SIGQUIT makes SIGTERM mean SIGQUIT. SIGUSR1 writes the state of the worker and all its goroutines to stderr.`,
		Example: `worker -P solo
worker -P threads -c 8 -Q celery,mail
worker -b amqp://guest:guest@localhost:5672// -l debug --time-limit 300`,
		Settings: settings,
		Flags:    f.add,
		Run:      f.run,
		signals:  true,
	}
}

func (f *workerFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.purge, "purge", false, "delete the messages that wait in the queues first")
	flags.BoolP("task-events", "E", false, "accepted and ignored: there are no task events yet")
	flags.StringP("optimization", "O", "", "Celery's `profile`, accepted and ignored: tasks are always shared out fairly")
	flags.BoolVar(&f.alone, "without-mingle", false, "do not ask other workers at the start what was revoked")
	for _, name := range []string{"without-gossip", "without-heartbeat"} {
		flags.Bool(name, false, "accepted for Celery's sake and ignored")
	}
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "events":
			name = "task-events"
		case "discard":
			name = "purge"
		}
		return pflag.NormalizedName(name)
	})
}

func (f *workerFlags) run(ctx context.Context, s *Session, _ []string) error {
	ctx, warm := context.WithCancel(ctx)
	defer warm()
	// Before anything that can take its time: a worker that waits for its broker must be stoppable, too.
	stop := &shutdown{
		out: s.Out, err: s.Err, warm: warm, exit: os.Exit, remapTerm: s.program.getenv("REMAP_SIGTERM") == "SIGQUIT",
	}
	defer listen(stop)()

	opts, err := s.workerOptions()
	if err != nil {
		return err
	}
	opts.NoMingle = f.alone
	app, err := s.open(taskq.Config{Worker: opts, WaitForBroker: true})
	if err != nil {
		return err
	}
	if err := opts.CheckBatches(app.Registry()); err != nil {
		return Exit(Misconfigured, fmt.Errorf("%w (%s)", err, s.Config.Origin("worker.batch")))
	}
	if err := s.banner(app, opts); err != nil {
		return err
	}
	w, err := f.connect(ctx, s, app, opts)
	if ctx.Err() != nil {
		return nil // stopped before it started, which is a warm shutdown, too
	}
	if err != nil {
		return err
	}
	stop.starts(w)
	err = w.Run(ctx)
	if stop.wasCold() && err == nil {
		err = Exit(Failure, errors.New("worker was shut down cold"))
	}
	return err
}

// listen hands the signals to stop until the returned function is called.
func listen(stop *shutdown) func() {
	signals := make(chan os.Signal, 3) // one for each step
	signal.Notify(signals, workerSignals()...)
	var wg sync.WaitGroup
	wg.Go(func() { stop.listen(signals) })
	return func() {
		signal.Stop(signals)
		close(signals)
		wg.Wait()
	}
}

// connect waits for the broker, for as long as it takes, and returns a worker that is ready to run.
func (f *workerFlags) connect(ctx context.Context, s *Session, app *taskq.App, opts worker.Options) (*worker.Worker, error) {
	w, err := app.NewWorker(ctx)
	if err != nil {
		return nil, err
	}
	if f.purge {
		done, err := purge(ctx, app, opts.Queues)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(s.Out, "purge: Erased %d %s from the queue.\n", done.messages, plural(done.messages, "message"))
	}
	return w, nil
}

// purged counts what purge did.
type purged struct{ messages, queues int }

// purge empties the queues; those that do not exist are empty already.
func purge(ctx context.Context, app *taskq.App, queues []string) (purged, error) {
	b, err := app.Broker(ctx)
	if err != nil {
		return purged{}, err
	}
	purger, ok := b.(broker.Purger)
	if !ok {
		return purged{}, errors.New("this broker cannot purge queues")
	}
	sum := purged{queues: len(queues)}
	for _, queue := range queues {
		n, err := purger.Purge(ctx, queue)
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			return sum, fmt.Errorf("purge %s: %w", queue, err)
		}
		sum.messages += n
	}
	return sum, nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// connectWait bounds how long a client waits for a broker that does not answer.
const connectWait = 5 * time.Second
