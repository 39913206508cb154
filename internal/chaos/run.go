package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// Result is what came of one run of a case.
type Result struct {
	Case      Case
	QueueType string
	Pool      string
	Seed      uint64
	Took      time.Duration
	Faults    int
	Dir       string
	Lost      int // connections that were lost, as the sender's and the workers' logs say
	Verdict   *Verdict
}

const (
	warmUp     = 16               // tasks before anything is measured
	settleWait = 45 * time.Second // for the queues to run empty after the load
	leakWait   = 15 * time.Second // for connections, channels, goroutines and files to be as before
)

// run plays one variant. The error says that the harness itself failed; what taskq did wrong is in the verdict.
func (w *World) run(ctx context.Context, v variant, seed uint64) (_ *Result, err error) {
	begin := time.Now()
	s, err := w.stage(ctx, v, seed)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.clear(context.WithoutCancel(ctx))) }()
	verdict, err := s.play(ctx)
	if err != nil {
		return nil, err
	}
	lost, err := s.connectionsLost()
	if err != nil {
		return nil, err
	}
	return &Result{
		Case: v.Case, QueueType: string(v.queue), Pool: string(v.pool), Seed: seed, Took: time.Since(begin),
		Faults: len(s.windows), Dir: s.dir, Lost: lost, Verdict: verdict,
	}, nil
}

// stage sets the scene: servers, proxies, directory.
func (w *World) stage(ctx context.Context, v variant, seed uint64) (*Scene, error) {
	s := &Scene{Case: v.Case, world: w, rng: rand.New(rand.NewPCG(seed, v.hash()))}
	var err error
	if s.nodes, err = w.nodes(ctx, v.Case); err != nil {
		return nil, err
	}
	s.queue = fmt.Sprintf("%s-%s-%s-%d", v.Name, v.queue, v.pool, begunAt())
	s.dir = filepath.Join(w.Dir, s.queue)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	log, err := os.Create(filepath.Join(s.dir, "case.log"))
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	s.logFile, s.log = log, slog.New(slog.NewTextHandler(log, nil))
	database, err := w.database(ctx)
	if err != nil {
		return nil, err
	}
	if w.postgres != nil {
		if s.store, err = instance.StartProxy(database); err != nil {
			return nil, err
		}
		database = s.store.URL
	}
	s.worker = WorkerConfig{
		Database: database, Table: strings.ReplaceAll(s.queue, "-", "_"), Queue: s.queue, QueueType: v.queue, Pool: v.pool,
		Concurrency: v.slots(), Dir: s.dir,
	}
	if v.Limits {
		if s.worker.LimitStore, err = w.limits(ctx); err != nil {
			return nil, err
		}
	}
	return s, s.startProxies()
}

// startProxies puts one before the broker for the sender and one for the workers.
func (s *Scene) startProxies() (err error) {
	if s.Case.Cluster {
		return nil
	}
	if s.senders, err = instance.StartProxy(s.node().URL()); err != nil {
		return err
	}
	s.consumers, err = instance.StartProxy(s.node().URL())
	return err
}

func begunAt() int64 { return time.Now().UnixMilli() % 1_000_000_000 }

// play runs the case from the first task to the verdict.
func (s *Scene) play(ctx context.Context) (*Verdict, error) {
	goroutines := runtime.NumGoroutine()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	before, err := s.measure(ctx)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "load starts")
	s.sender.Start(ctx)
	trouble := s.Case.Run(ctx, s)
	if trouble == nil {
		trouble = s.goOn(ctx)
	}
	problems := s.aftermath(ctx, before, goroutines)
	if trouble != nil {
		problems = append(problems, fmt.Sprintf("the case: %v", trouble))
	}
	verdict, err := s.verdict(ctx)
	if err != nil {
		return nil, err
	}
	if bound := s.Case.bound(); verdict.Recovery > bound {
		verdict.problem("recovery took %s, more than %s", verdict.Recovery.Round(time.Millisecond), bound)
	}
	verdict.Problems = append(verdict.Problems, problems...)
	return verdict, nil
}

// aftermath ends the load and then the workers, and returns what did not end as it should.
func (s *Scene) aftermath(ctx context.Context, before holdings, goroutines int) (problems []string) {
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"sender", func() error { return s.sender.Wait(settleWait) }},
		{"wedged", func() error { return s.drained(ctx) }},
		{"leak", func() error { return s.asBefore(ctx, before) }},
		{"shutdown", func() error { return s.end(ctx, goroutines) }},
	} {
		s.log.InfoContext(ctx, "aftermath", "step", step.name)
		if err := step.do(); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", step.name, err))
		}
	}
	return problems
}

// goOn has the load go on for a while after the last fault.
func (s *Scene) goOn(ctx context.Context) error {
	s.recovered(ctx)
	return pause(ctx, time.Second)
}

// recovered waits until a task was accepted after the last fault. The checker says how long that took, and whether it was too long.
func (s *Scene) recovered(ctx context.Context) {
	_ = until(ctx, settleWait, "tasks are accepted again", func() (bool, error) {
		e, err := s.evidence()
		if err != nil || len(e.Sent) == 0 {
			return false, err
		}
		last := e.Sent[len(e.Sent)-1]
		return len(s.windows) == 0 || last.Outcome == Accepted && last.End.After(s.windows[len(s.windows)-1].End), nil
	})
}

// begin starts workers and the sender, and has them run a few tasks.
func (s *Scene) begin(ctx context.Context) error {
	s.log.InfoContext(ctx, "workers start")
	if s.Case.Prepare != nil {
		if err := s.Case.Prepare(ctx, s); err != nil {
			return err
		}
	}
	if err := s.startWorkers(s.Case.workers()); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "workers consume")
	ledger, err := OpenLedger(s.path("sent"))
	if err != nil {
		return err
	}
	s.sender, err = NewSender(taskq.Config{
		BrokerURL: s.address(s.senders), ResultBackend: cmp.Or(s.sending, noResults), DefaultQueue: s.queue, QueueType: s.worker.QueueType, Logger: s.log,
		LimitStore: s.worker.LimitStore,
	}, s.Case.Load, ledger, s.queue, s.rng)
	if err != nil {
		return err
	}
	if s.worker.Outbox != "" {
		if s.sender.rows, err = pgxpool.New(ctx, s.worker.Outbox); err != nil {
			return fmt.Errorf("chaos: %w", err)
		}
	}
	s.sender.Some(ctx, warmUp)
	s.log.InfoContext(ctx, "warmed up")
	return s.drained(ctx)
}

// ready waits until every worker consumes.
func (s *Scene) ready(ctx context.Context) error {
	return until(ctx, 30*time.Second, "workers consume", func() (bool, error) {
		all, err := queues(ctx, s.node())
		return all[s.queue].consumers == len(s.workers), err
	})
}

func (s *Scene) path(name string) string { return filepath.Join(s.dir, name) }

// drained waits until everything accepted is done, but for what the operator removed, and the broker holds nothing.
func (s *Scene) drained(ctx context.Context) error {
	err := until(ctx, settleWait, "everything accepted is done", func() (bool, error) {
		e, err := s.evidence()
		if err != nil {
			return false, err
		}
		h, missing := gather(e), 0
		for id, kind := range h.accepted {
			cut := kind == Early && h.cutOff(id, s.windows)
			if !h.done[id] && !cut && kind != Bad && kind != Crash && kind != Revoked { // those are parked, or must not run
				missing++
			}
		}
		return missing <= s.removed, nil
	})
	return errors.Join(err, until(ctx, leakWait, "the queues are empty", func() (bool, error) {
		all, err := queues(ctx, s.node())
		if err != nil {
			return false, err
		}
		for name, d := range all {
			if strings.HasSuffix(name, deadSuffix) {
				d.ready = 0
			}
			if d.ready+d.unacked > 0 {
				return false, fmt.Errorf("%d ready and %d unacknowledged in %s", d.ready, d.unacked, name)
			}
		}
		return true, nil
	}))
}

// end stops the workers and the sender, each of which must end well.
func (s *Scene) end(ctx context.Context, goroutines int) error {
	var errs []error
	for _, p := range s.workers {
		errs = append(errs, p.stop(ctx, 15*time.Second))
	}
	closing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	errs = append(errs, s.sender.Close(closing))
	for _, proxy := range []*instance.Proxy{s.senders, s.consumers, s.store, s.results} {
		if proxy != nil {
			proxy.Close()
		}
	}
	errs = append(errs, until(ctx, leakWait, "the sender's goroutines end", func() (bool, error) {
		n := runtime.NumGoroutine()
		if n > goroutines {
			return false, fmt.Errorf("%d goroutines, %d before", n, goroutines)
		}
		return true, nil
	}))
	return errors.Join(errs...)
}

// clear ends what still runs and mends the broker for the next case.
func (s *Scene) clear(ctx context.Context) error {
	for _, p := range s.workers {
		_ = p.thaw()
		_ = p.kill()
	}
	if s.sender != nil {
		s.sender.abandon()
	}
	for _, proxy := range []*instance.Proxy{s.senders, s.consumers, s.store, s.results} {
		if proxy != nil {
			proxy.Close()
		}
	}
	var errs []error
	if s.Case.Restore != nil {
		errs = append(errs, s.Case.Restore(ctx, s))
	}
	_, err := s.node().Eval(ctx, `[rabbit_amqqueue:delete(Q, false, false, <<"chaos">>) || Q <- rabbit_amqqueue:list(<<"/">>)], ok`)
	return errors.Join(append(errs, err, s.logFile.Close())...)
}
