// Package taskqtest tests programs that use taskq: an application whose broker and results are in memory, whose workers run when the
// test says so, and in which everything can be made to break.
//
// In a bubble of testing/synctest the time is virtual: delays, retries and time limits of a whole day pass in milliseconds. Without a
// bubble they take as long as they take.
package taskqtest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker/mem"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// App is an application in memory. Its Send, Register and so on are those of taskq.App.
type App struct {
	*taskq.App
	// Faults break the broker and the result store.
	Faults *Faults

	bus *bus
}

// patience is how long Run and Wait let an application work. It is virtual time in a bubble; without one the test's own limit comes
// first.
const patience = 2 * 366 * 24 * time.Hour

// New returns an application with these tasks. cfg may say anything but where messages and outcomes go; without a Logger it logs to
// the test's output. The application is closed at the end of the test.
func New(t testing.TB, cfg taskq.Config, tasks ...task.Definition) *App {
	t.Helper()
	if cfg.Broker != nil || cfg.Results != nil || cfg.BrokerURL != "" || cfg.ResultBackend != "" {
		t.Fatal("taskqtest: the configuration says where messages or outcomes go; leave that to New")
	}
	if cfg.LimitStore == "" {
		cfg.LimitStore = "memory://"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	faults := &Faults{}
	b := &bus{Broker: mem.NewServer().Open(), faults: faults, consumed: map[string]bool{}, changed: make(chan struct{})}
	faults.bus = b
	cfg.Broker, cfg.Results = b, &store{Backend: resultmem.New(resultmem.Config{Expires: cfg.ResultExpires}), faults: faults}
	app, err := taskq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Register(tasks...); err != nil {
		t.Fatal(err)
	}
	b.accept, b.limits = app.Accept(), cfg.Limits
	t.Cleanup(func() {
		faults.Up() // nobody is to wait for ever
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := app.Close(ctx); err != nil {
			t.Errorf("taskqtest: close: %v", err)
		}
	})
	return &App{App: app, Faults: faults, bus: b}
}

// Start runs a worker until stop is called, or the test ends: a warm shutdown. Several may run at once.
func (a *App) Start(t testing.TB) (stop func()) {
	t.Helper()
	w, err := a.NewWorker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.bus.watch(w.Options().Queues)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			t.Errorf("taskqtest: worker: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// Run runs a worker until nothing is left to do: no message waits, none is being worked on, none is put off until later, be it a
// countdown, a retry or a rate limit. Then it stops the worker.
func (a *App) Run(t testing.TB) {
	t.Helper()
	defer a.Start(t)()
	a.Wait(t)
}

// Wait is the part of Run that waits, for workers that Start has started.
func (a *App) Wait(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.bus.settle(ctx); errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("taskqtest: after two years %d messages are left: does a task retry for ever?", a.bus.outstanding())
	} else if err != nil {
		t.Fatal(err)
	}
}
