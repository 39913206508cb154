package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// Load says what is sent.
type Load struct {
	Rate    int           // tasks per second, if the broker takes them; 0: 60
	Senders int           // concurrent calls; 0: 8
	Kinds   []Kind        // drawn evenly; none: steps, and visits for every fourth
	Work    time.Duration // of a step; 0: 10 ms
	Slow    time.Duration // work of a slow task; 0: 2 s
	Wait    time.Duration // before those that wait for their time; 0: 2 s
}

// withDefaults fills in zero fields.
func (l Load) withDefaults() Load {
	if l.Rate == 0 {
		l.Rate = 60
	}
	if l.Senders == 0 {
		l.Senders = 8
	}
	if len(l.Kinds) == 0 {
		l.Kinds = []Kind{Step, Step, Step, Visit}
	}
	if l.Work == 0 {
		l.Work = 10 * time.Millisecond
	}
	if l.Slow == 0 {
		l.Slow = 2 * time.Second
	}
	if l.Wait == 0 {
		l.Wait = 2 * time.Second
	}
	return l
}

// waits reports whether some tasks wait in the broker for their time.
func (l Load) waits() bool {
	return slices.ContainsFunc(l.Kinds, func(k Kind) bool { return k.waits() || k == Retry || k == Backoff })
}

// sendPatience bounds one call of Send; its outcome is unknown then, and the task is sent again with the same id.
const sendPatience = 20 * time.Second

// Sender is a load that runs: an ordinary application that sends tasks.
type Sender struct {
	load   Load
	app    *taskq.App
	ledger *Ledger
	prefix string // of the ids
	queue  string
	rows   *pgxpool.Pool // where transactions are; nil: none are needed
	log    *slog.Logger

	wg           sync.WaitGroup
	stop         context.CancelFunc // no new tasks
	abandonCalls context.CancelFunc

	mu    sync.Mutex
	err   error // the first mistake of the harness itself
	count int
	rng   *rand.Rand
}

// NewSender returns a sender that has sent nothing yet. Its ids begin with prefix.
func NewSender(cfg taskq.Config, load Load, ledger *Ledger, prefix string, rng *rand.Rand) (*Sender, error) {
	app, err := taskq.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	if cfg.LimitStore != "" { // what is unique must be known to who sends it
		if err := app.Register(limitedTasks()...); err != nil {
			return nil, fmt.Errorf("chaos: %w", err)
		}
	}
	seeds := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) // of its own: the faults are drawn meanwhile
	return &Sender{load: load.withDefaults(), app: app, ledger: ledger, prefix: prefix, queue: cfg.DefaultQueue, log: cfg.Logger, rng: seeds}, nil
}

// Some sends n tasks one after the other.
func (s *Sender) Some(ctx context.Context, n int) {
	for range n {
		s.one(ctx)
	}
}

// Start sends at the load's rate until Wait.
func (s *Sender) Start(ctx context.Context) {
	sending, stop := context.WithCancel(ctx)
	calls, abandon := context.WithCancel(ctx)
	s.stop, s.abandonCalls = stop, abandon
	turns := make(chan struct{})
	s.wg.Go(func() { s.pace(sending, turns) })
	for range s.load.Senders {
		s.wg.Go(func() {
			for range turns {
				s.one(calls)
			}
		})
	}
}

// pace hands out turns at the load's rate; those that nobody takes in time are not made up for.
func (s *Sender) pace(ctx context.Context, turns chan<- struct{}) {
	defer close(turns)
	ticker := time.NewTicker(time.Second / time.Duration(s.load.Rate))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// one sends a task that is drawn.
func (s *Sender) one(ctx context.Context) {
	id, kind, work := s.next()
	_ = s.deliver(ctx, id, kind, work) // it is written down
}

// send sends a task of a kind.
func (s *Sender) send(ctx context.Context, kind Kind) (id string, err error) {
	id, _, work := s.next()
	return id, s.deliver(ctx, id, kind, work)
}

// deliver sends a task until it is known what became of it.
func (s *Sender) deliver(ctx context.Context, id string, kind Kind, work time.Duration) error {
	for ctx.Err() == nil {
		sent := Sent{ID: id, Kind: kind, Begin: time.Now()}
		call, cancel := context.WithTimeout(ctx, sendPatience)
		err := s.call(call, kind, id, work)
		cancel()
		sent.End, sent.Outcome = time.Now(), outcome(err)
		for _, one := range tasksOf(sent) {
			if err := s.ledger.Sent(one); err != nil {
				s.fail(err)
				return err
			}
		}
		if sent.Outcome == Accepted || errors.Is(err, task.ErrDuplicateCall) || errors.Is(err, errUndone) {
			return err
		}
		s.log.WarnContext(ctx, "task not sent", "id", id, "error", err)
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func outcome(err error) Outcome {
	switch {
	case err == nil:
		return Accepted
	case errors.Is(err, broker.ErrUnroutable), errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrRefused),
		errors.Is(err, task.ErrDuplicateCall), errors.Is(err, errUndone):
		return Rejected
	}
	return Unknown
}

// next draws a task.
func (s *Sender) next() (id string, kind Kind, work time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	kind = s.load.Kinds[s.rng.IntN(len(s.load.Kinds))]
	work = s.load.Work
	if kind == Slow {
		work = s.load.Slow
	}
	return fmt.Sprintf("%s-%06d", s.prefix, s.count), kind, work
}

func (s *Sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

// Wait sends no new tasks and waits until the outcomes of those under way are known, or gives them up after a time.
func (s *Sender) Wait(within time.Duration) error {
	if s.stop == nil {
		return nil // nothing was started
	}
	s.stop()
	patience := time.AfterFunc(within, s.abandonCalls)
	s.wg.Wait()
	if !patience.Stop() {
		return fmt.Errorf("tasks are still not accepted %s after the load", within)
	}
	return nil
}

// Close closes the application, after Wait.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if s.rows != nil {
		s.rows.Close()
	}
	return errors.Join(err, s.app.Close(ctx), s.ledger.Close())
}

// abandon ends everything, whatever it was waiting for.
func (s *Sender) abandon() {
	_ = s.Wait(0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the case is over, whatever its context
	defer cancel()
	_ = s.app.Close(ctx)
}
