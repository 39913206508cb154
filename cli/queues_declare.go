package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
)

// declaredInfo is a line of `queues declare` in JSON.
type declaredInfo struct {
	Queue     string         `json:"queue"`
	Exchanges []string       `json:"exchanges"`
	Arguments map[string]any `json:"arguments"`
}

func declareCommand() Command {
	return Command{
		Use:   "declare [NAME...]",
		Short: "Create the queues of the configuration, with their exchanges and bindings",
		Long: `Create the queues of the configuration, with their exchanges and bindings, and print them. What is there already must be the
same, and is not changed. It creates whatever --declare says, for deployments in which workers and senders run with --declare=passive.`,
		Example: `queues declare
queues declare mail reports`,
		MaxArgs: -1, Settings: []string{"queue_type", "worker.queues", "worker.exclude_queues"}, Tabular: true,
		Run: func(ctx context.Context, s *Session, args []string) error {
			if len(args) == 0 {
				names, err := s.queues()
				if err != nil {
					return err
				}
				args = names
			}
			return s.declare(ctx, args)
		},
	}
}

func (s *Session) declare(ctx context.Context, queues []string) error {
	app, err := s.App()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	b, err := app.Broker(ctx)
	if err != nil {
		return err
	}
	table := Table{Header: []string{"QUEUE", "BOUND TO", "PROPERTIES"}}
	infos := []declaredInfo{}
	for _, name := range queues {
		topology := app.Topology(name)
		if topology.IsEmpty() {
			table.Rows = append(table.Rows, []string{name, "-", "a broadcast: each worker declares a queue of its own"})
			continue
		}
		if err := b.Declare(ctx, topology); err != nil {
			return err
		}
		queue, bound := topology.Queues[0], ways(app, name)
		table.Rows = append(table.Rows, []string{name, strings.Join(bound, ", "), properties(queue)})
		infos = append(infos, declaredInfo{Queue: name, Exchanges: bound, Arguments: queue.WireArguments()})
	}
	table.Data = infos
	return s.Print(table)
}

// properties are what is special about a queue, on one line.
func properties(q broker.Queue) string {
	words := []string{"durable"}
	if q.Transient {
		words[0] = "transient"
	}
	if q.AutoDelete {
		words = append(words, "auto-delete")
	}
	args := q.WireArguments()
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value := fmt.Sprint(args[name])
		if value == "" {
			value = `""`
		}
		words = append(words, name+"="+value)
	}
	return strings.Join(words, " ")
}
