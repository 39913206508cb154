package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/cli/console"
)

func purgeCommand() Command {
	var force bool
	return Command{
		Use:   "purge",
		Short: "Delete the messages that wait in queues",
		Long: `Delete the messages that wait in the queues. There is no way to get them back.

It asks first; without a terminal to ask on, --force is needed. Messages that workers hold already are not deleted.
A chord that waits for a task whose message is deleted waits on; revoke it to tell those who wait for it.`,
		Example: `purge
purge -Q mail,reports --force`,
		Settings: []string{"worker.queues", "worker.exclude_queues"},
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVarP(&force, "force", "f", false, "do not ask")
		},
		Run: func(ctx context.Context, s *Session, _ []string) error {
			queues, err := s.queues()
			if err != nil {
				return err
			}
			return s.purge(ctx, queues, force)
		},
	}
}

// purge empties the queues, after it has asked.
func (s *Session) purge(ctx context.Context, queues []string, force bool) error {
	app, err := s.App()
	if err != nil {
		return err
	}
	if !force {
		if err := s.confirm(queues); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	done, err := purge(ctx, app, queues)
	if err != nil {
		return err
	}
	return printLine(s.Out, done.String())
}

// String says it in Celery's words.
func (p purged) String() string {
	if p.messages == 0 {
		return fmt.Sprintf("No messages purged from %d %s", p.queues, plural(p.queues, "queue"))
	}
	return fmt.Sprintf("Purged %d %s from %d known task %s.", p.messages, plural(p.messages, "message"), p.queues, plural(p.queues, "queue"))
}

// confirm asks on the terminal.
func (s *Session) confirm(queues []string) error {
	names := strings.Join(queues, ", ")
	if !console.IsTerminal(s.In) {
		return Exit(Usage, fmt.Errorf("purge would delete all messages of %s and there is no terminal to ask on; add --force to do it", names))
	}
	fmt.Fprintf(s.Err, "WARNING: This will remove all tasks from %s: %s.\n         There is no undo for this operation!\n\nAre you sure you want to delete all tasks? [y/N] ",
		plural(len(queues), "queue"), names)
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("nothing was deleted")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was deleted")
}
