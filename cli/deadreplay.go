package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

// replay is which dead letters to send again, and where to.
type replay struct {
	ids                  []string
	all                  bool
	taskGlob, reason, to string
	limit, done          int
	found                map[string]bool
}

func deadReplayCommand() Command {
	r := &replay{}
	return Command{
		Use:   "replay [ID...]",
		Short: "Send dead letters again",
		Long: `Send dead letters again, to where they were sent to begin with, and take them out of the dead letters.

Choose them by their ids, by --task and --reason, which must both hold, or take --all. A message that was sent again starts anew: its
deliveries are counted from nothing.`,
		Example: `dead replay d97074ce-2c94-4422-8b08-14409aa9abab
dead replay --task 'mail.*' --reason unregistered --limit 10
dead replay --all --to retries`,
		MaxArgs: -1, Settings: []string{"worker.queues", "worker.exclude_queues"},
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&r.all, "all", false, "all of them")
			flags.StringVar(&r.taskGlob, "task", "", "those of the tasks with a `name` like this; * stands for any characters")
			flags.StringVar(&r.reason, "reason", "", "those with this `reason`: rejected, failed, malformed, refused, unregistered, delivery-limit, or a word of the broker's")
			flags.StringVar(&r.to, "to", "", "`queue` to send them to (default: where they came from)")
			flags.IntVar(&r.limit, "limit", 0, "`number` of dead letters to send at the most; 0 means all that were chosen")
		},
		Run: func(ctx context.Context, s *Session, args []string) error {
			r.ids, r.found, r.done = args, map[string]bool{}, 0
			if err := r.check(); err != nil {
				return Exit(Usage, err)
			}
			queues, err := s.queues()
			if err != nil {
				return err
			}
			return r.run(ctx, s, queues)
		},
	}
}

func (r *replay) check() error {
	switch _, err := path.Match(r.taskGlob, ""); {
	case err != nil:
		return fmt.Errorf("--task: %q is no pattern; * stands for any characters, ? for one, [ab] for one of those", r.taskGlob)
	case r.limit < 0:
		return fmt.Errorf("--limit: %d is negative", r.limit)
	case len(r.ids) == 0 && !r.all && r.taskGlob == "" && r.reason == "":
		return errors.New("say which dead letters to send again: their ids, --task, --reason or --all")
	}
	return nil
}

func (r *replay) run(ctx context.Context, s *Session, queues []string) error {
	for _, queue := range queues {
		n, err := s.browse(ctx, queue, maxHeld, func(b broker.Broker, d *broker.Delivery) (bool, error) {
			l := readLetter(d, queue)
			if r.chooses(l) {
				if err := r.send(ctx, s, b, d, l); err != nil {
					return true, err
				}
			}
			return r.enough(), nil
		})
		if err != nil {
			return err
		}
		if n > maxHeld && !r.enough() {
			fmt.Fprintf(s.Err, "only the oldest %d of %d dead letters of %s were looked at\n", maxHeld, n, queue)
		}
	}
	for _, id := range r.ids {
		if !r.found[id] && !r.full() {
			return noLetter(id, queues)
		}
	}
	return printLine(s.Out, fmt.Sprintf("Sent %d dead %s again.", r.done, plural(r.done, "letter")))
}

func (r *replay) chooses(l letter) bool {
	if len(r.ids) > 0 && !slices.Contains(r.ids, l.ID) || r.reason != "" && r.reason != string(l.Reason) {
		return false
	}
	like, _ := path.Match(r.taskGlob, l.Task) // checked
	return r.taskGlob == "" || like
}

func (r *replay) enough() bool {
	all := len(r.ids) > 0
	for _, id := range r.ids {
		all = all && r.found[id]
	}
	return all || r.full()
}

func (r *replay) full() bool { return r.limit > 0 && r.done == r.limit }

// send publishes the message and takes the dead letter away once the broker has it.
func (r *replay) send(ctx context.Context, s *Session, b broker.Broker, d *broker.Delivery, l letter) error {
	to := broker.Address{Exchange: l.Exchange, RoutingKey: l.RoutingKey}
	switch {
	case r.to != "":
		to = broker.Address{RoutingKey: r.to}
	case to.Exchange == "":
		to.RoutingKey = l.Queue
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	err := b.Publish(ctx, to, deadletter.Revive(d))
	if errors.Is(err, broker.ErrUnroutable) {
		return Exit(Failure, fmt.Errorf("no queue takes the message %s (exchange %q, routing key %q), it stays a dead letter; start a worker that declares the queue, or name another one with --to",
			orDash(l.ID), to.Exchange, to.RoutingKey))
	}
	if err != nil {
		return fmt.Errorf("send %s again: %w", orDash(l.ID), err)
	}
	if err := d.Settle(ctx, broker.Ack); err != nil {
		return fmt.Errorf("%s was sent again and is still a dead letter: %w", orDash(l.ID), err)
	}
	r.done++
	r.found[l.ID] = true
	return printLine(s.Out, strings.TrimRight(fmt.Sprintf("%s %s to %s", orDash(l.ID), orDash(l.Task), destination(to)), " "))
}

func destination(to broker.Address) string {
	if to.Exchange == "" || to.Exchange == to.RoutingKey {
		return to.RoutingKey
	}
	return fmt.Sprintf("exchange %s with the key %s", to.Exchange, to.RoutingKey)
}
