package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// workerVariable makes this program a worker: it holds a WorkerConfig in JSON. It is no argument because of the passwords in it.
const workerVariable = "TASKQ_CHAOS_WORKER"

// WorkerConfig is what a worker process is told.
type WorkerConfig struct {
	Name        string
	BrokerURL   string
	Database    string
	Table       string
	Queue       string
	QueueType   broker.QueueType
	Pool        pool.Kind
	Concurrency int
	DeadLetters bool
	LimitStore  string
	Results     string // where outcomes are kept; "": nowhere
	Outbox      string // the database of the outbox; "": none
	StateDB     string // of the revoked
	Batches     map[string]task.BatchPolicy
	// DeliveryTimeout is the broker's.
	DeliveryTimeout time.Duration
	Dir             string // of the ledgers
}

// noResults is the result store of tasks whose outcomes nobody looks at.
const noResults = "disabled://"

// IsWorker reports whether this process is to be a worker; then it calls RunWorker and nothing else.
func IsWorker() bool { return os.Getenv(workerVariable) != "" }

// RunWorker runs a worker until it is told to end (SIGTERM), and returns the exit status.
func RunWorker() int {
	var cfg WorkerConfig
	err := json.Unmarshal([]byte(os.Getenv(workerVariable)), &cfg)
	if err == nil {
		err = cfg.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (c WorkerConfig) run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) // the process's own
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	app, err := taskq.New(taskq.Config{
		BrokerURL: c.BrokerURL, ResultBackend: cmp.Or(c.Results, noResults), DefaultQueue: c.Queue, QueueType: c.QueueType, WaitForBroker: true,
		DeliveryTimeout: c.DeliveryTimeout, LimitStore: c.LimitStore, Outbox: outbox.Config{URL: c.Outbox},
		Worker: c.options(), Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close(context.WithoutCancel(ctx))) }()
	recorder, err := c.recorder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorder.Close()) }()
	ledger, err := OpenLedger(filepath.Join(c.Dir, "ran-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	app.Use(record(ledger, os.Getpid(), func(err error) { log.Error("ledger", "error", err); os.Exit(2) }))
	all := append(tasks(func() { os.Exit(3) }), recorder.Task())
	if c.Results != "" {
		all = append(all, chordTasks(ledger, os.Getpid())...)
	}
	if c.LimitStore != "" {
		all = append(all, limitedTasks()...)
	}
	if err := app.Register(all...); err != nil {
		return err
	}
	meter, err := startMeter(filepath.Join(c.Dir, "meter-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		return err
	}
	defer meter.stop()
	return app.Run(ctx)
}

// recorder stores the visits of a case in a table of their own.
func (c WorkerConfig) recorder() (*accessrecord.Recorder, error) {
	return accessrecord.New(accessrecord.Config{Database: c.Database, Table: c.Table})
}

// meter overwrites a file with the number of goroutines, ten times a second, for the harness to see leaks.
type meter struct {
	end  chan struct{} // closed by stop
	done chan struct{} // closed when the goroutine has ended
}

func startMeter(path string) (*meter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	m := &meter{end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(m.done)
		defer func() { _ = file.Close() }()
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			_, _ = file.WriteAt(fmt.Appendf(nil, "%8d", runtime.NumGoroutine()), 0) // an old number is seen otherwise
			select {
			case <-ticker.C:
			case <-m.end:
				return
			}
		}
	}()
	return m, nil
}

func (m *meter) stop() {
	close(m.end)
	<-m.done
}
