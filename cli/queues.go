package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/seed-399731e2/taskq/broker"
)

// queueInfo is a line of `queues` in JSON.
type queueInfo struct {
	Queue     string `json:"queue"`
	Exists    bool   `json:"exists"`
	Messages  int    `json:"messages"` // waiting, without those that workers hold
	Consumers int    `json:"consumers"`

	broadcast bool
}

func queuesCommand() Command {
	return Command{
		Use:   "queues [NAME...]",
		Short: "Show how many messages wait, and how many consumers there are",
		Example: `queues
queues mail reports -o json`,
		MaxArgs: -1, Settings: []string{"worker.queues", "worker.exclude_queues"}, Tabular: true,
		Commands: []Command{declareCommand()},
		Run: func(ctx context.Context, s *Session, args []string) error {
			if len(args) == 0 {
				names, err := s.queues()
				if err != nil {
					return err
				}
				args = names
			}
			infos, err := s.measure(ctx, args)
			if err != nil {
				return err
			}
			t := Table{Header: []string{"QUEUE", "MESSAGES", "CONSUMERS"}, Data: infos}
			for _, q := range infos {
				row := []string{q.Queue, strconv.Itoa(q.Messages), strconv.Itoa(q.Consumers)}
				switch {
				case q.broadcast:
					row = []string{q.Queue, "-", "a broadcast: each worker has a queue of its own"}
				case !q.Exists:
					row = []string{q.Queue, "-", "the queue does not exist yet"}
				}
				t.Rows = append(t.Rows, row)
			}
			return s.Print(t)
		},
	}
}

func (s *Session) measure(ctx context.Context, queues []string) ([]queueInfo, error) {
	app, err := s.App()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	b, err := app.Broker(ctx)
	if err != nil {
		return nil, err
	}
	measurer, ok := b.(broker.Measurer)
	if !ok {
		return nil, errors.New("this broker cannot measure queues")
	}
	infos := make([]queueInfo, len(queues))
	for i, name := range queues {
		stats, err := measurer.Measure(ctx, name)
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			return nil, fmt.Errorf("measure queue %s: %w", name, err)
		}
		infos[i] = queueInfo{Queue: name, Exists: err == nil, Messages: stats.Messages, Consumers: stats.Consumers, broadcast: app.Topology(name).IsEmpty()}
	}
	return infos, nil
}
