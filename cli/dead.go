package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/wire"
)

func deadCommand() Command {
	return Command{
		Use:   "dead",
		Short: "Look at dead letters, send them again, delete them",
		Long: `Look at dead letters, send them again, delete them.

A worker with --dead-letters keeps what it rejects in a queue <name>.dead: messages that it cannot read, tasks that it does not have,
tasks that asked for it, and those that killed their workers. Queues are named here by their own name, without the .dead.`,
		Example: `dead list
dead show d97074ce-2c94-4422-8b08-14409aa9abab
dead replay --reason unregistered
dead purge mail --force`,
		Commands: []Command{deadListCommand(), deadShowCommand(), deadReplayCommand(), deadPurgeCommand()},
	}
}

// letter is a dead letter as -o json prints it.
type letter struct {
	ID         string            `json:"id"`
	Task       string            `json:"task"`
	Queue      string            `json:"queue"` // whose dead letter it is
	Reason     deadletter.Reason `json:"reason"`
	Error      string            `json:"error"`
	Deliveries *int              `json:"deliveries"` // null: nobody counted
	At         *time.Time        `json:"at"`         // null: not known
	Worker     string            `json:"worker"`
	// How it was sent to begin with.
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

func readLetter(d *broker.Delivery, queue string) letter {
	req, l := wire.Identify(d), deadletter.Read(d)
	out := letter{
		ID: req.ID, Task: req.Name, Queue: queue, Reason: l.Reason, Error: l.Error, Worker: l.Worker,
		Exchange: l.Origin.Exchange, RoutingKey: l.Origin.RoutingKey,
	}
	if l.Deliveries >= 0 {
		out.Deliveries = &l.Deliveries
	}
	if !l.At.IsZero() {
		out.At = &l.At
	}
	return out
}

// workQueues are the arguments, or what the settings name.
func (s *Session) workQueues(args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	return s.queues()
}

// maxHeld is how many messages a consumer can hold, which is how far a queue can be looked into.
const maxHeld = math.MaxUint16

// browse hands the dead letters of a work queue to look, the oldest first, until look has seen enough or there are no more. What look
// does not settle stays in the queue, as it was. It returns how many dead letters there were.
func (s *Session) browse(ctx context.Context, queue string, limit int, look func(broker.Broker, *broker.Delivery) (enough bool, err error)) (int, error) {
	app, err := s.App()
	if err != nil {
		return 0, err
	}
	opening, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	b, err := app.Broker(opening)
	if err != nil {
		return 0, err
	}
	name := deadletter.Queue(queue)
	n, err := countLetters(opening, b, name)
	if n == 0 || err != nil {
		return n, err
	}
	want := min(n, limit, maxHeld)
	consumer, err := b.Consume(opening, broker.ConsumeConfig{Queues: []string{name}, Prefetch: want})
	if err != nil {
		return n, fmt.Errorf("look into %s: %w", name, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
		defer cancel()
		if err := consumer.Close(closing); err != nil {
			s.Log.Debug("consumer could not be closed", "error", err)
		}
	}()
	for range want {
		d, err := nextLetter(ctx, consumer)
		if d == nil {
			return n, err
		}
		if enough, err := look(b, d); enough || err != nil {
			return n, err
		}
	}
	return n, nil
}

func countLetters(ctx context.Context, b broker.Broker, name string) (int, error) {
	measurer, ok := b.(broker.Measurer)
	if !ok {
		return 0, errors.New("this broker cannot measure queues")
	}
	stats, err := measurer.Measure(ctx, name)
	if errors.Is(err, broker.ErrNoQueue) {
		return 0, fmt.Errorf("there is no queue %s; a worker that runs with --dead-letters declares it", name)
	}
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", name, err)
	}
	return stats.Messages, nil
}

// nextLetter returns nil when somebody else has taken the rest meanwhile.
func nextLetter(ctx context.Context, consumer broker.Consumer) (*broker.Delivery, error) {
	wait, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	d, err := consumer.Next(wait)
	if err != nil && ctx.Err() == nil && errors.Is(wait.Err(), context.DeadlineExceeded) {
		return nil, nil
	}
	return d, err
}

func deadPurgeCommand() Command {
	var force bool
	return Command{
		Use:   "purge [QUEUE...]",
		Short: "Delete dead letters",
		Long: `Delete all dead letters of the queues. There is no way to get them back.

It asks first; without a terminal to ask on, --force is needed.`,
		Example: `dead purge
dead purge mail reports --force`,
		MaxArgs: -1, Settings: []string{"worker.queues", "worker.exclude_queues"},
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVarP(&force, "force", "f", false, "do not ask")
		},
		Run: func(ctx context.Context, s *Session, args []string) error {
			queues, err := s.workQueues(args)
			if err != nil {
				return err
			}
			names := make([]string, len(queues))
			for i, queue := range queues {
				names[i] = deadletter.Queue(queue)
			}
			return s.purge(ctx, names, force)
		},
	}
}
