package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func deadListCommand() Command {
	var limit int
	return Command{
		Use:   "list [QUEUE...]",
		Short: "List dead letters, the oldest first",
		Example: `dead list
dead list mail reports -o json`,
		MaxArgs: -1, Settings: []string{"worker.queues", "worker.exclude_queues"}, Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.IntVar(&limit, "limit", 100, "`number` of dead letters to list at the most")
		},
		Run: func(ctx context.Context, s *Session, args []string) error {
			if limit < 1 {
				return Exit(Usage, fmt.Errorf("--limit: %d is less than one", limit))
			}
			queues, err := s.workQueues(args)
			if err != nil {
				return err
			}
			return s.listDead(ctx, queues, limit)
		},
	}
}

func (s *Session) listDead(ctx context.Context, queues []string, limit int) error {
	letters, total := []letter{}, 0
	for _, queue := range queues {
		n, err := s.browse(ctx, queue, max(1, limit-len(letters)), func(_ broker.Broker, d *broker.Delivery) (bool, error) {
			if len(letters) < limit {
				letters = append(letters, readLetter(d, queue))
			}
			return false, nil
		})
		if err != nil {
			return err
		}
		total += n
	}
	t := Table{Header: []string{"TIME", "ID", "TASK", "QUEUE", "REASON", "DELIVERIES", "ERROR"}, Data: letters}
	for _, l := range letters {
		t.Rows = append(t.Rows, l.row())
	}
	if err := s.Print(t); err != nil {
		return err
	}
	if total > len(letters) {
		fmt.Fprintf(s.Err, "%d of %d dead letters are listed; --limit lists more\n", len(letters), total)
	}
	return nil
}

func (l letter) row() []string {
	return []string{l.time(), orDash(l.ID), orDash(l.Task), l.Queue, string(l.Reason), l.deliveries(), shorten(l.Error, 60)}
}

func (l letter) time() string {
	if l.At == nil {
		return "-"
	}
	return l.At.UTC().Format(time.RFC3339)
}

func (l letter) deliveries() string {
	if l.Deliveries == nil {
		return "-"
	}
	return strconv.Itoa(*l.Deliveries)
}

func shorten(text string, length int) string {
	if r := []rune(text); len(r) > length {
		return string(r[:length-1]) + "…"
	}
	return text
}

func deadShowCommand() Command {
	return Command{
		Use:   "show ID",
		Short: "Show a dead letter with its headers and arguments",
		Example: `dead show d97074ce-2c94-4422-8b08-14409aa9abab
dead show d97074ce-2c94-4422-8b08-14409aa9abab -Q mail -o json`,
		MinArgs: 1, MaxArgs: 1, Settings: []string{"worker.queues", "worker.exclude_queues"}, Tabular: true,
		Run: func(ctx context.Context, s *Session, args []string) error {
			queues, err := s.queues()
			if err != nil {
				return err
			}
			app, err := s.App()
			if err != nil {
				return err
			}
			accept := app.Accept()
			maps.Copy(accept, codec.NewSet(codec.JSON{}, codec.Msgpack{})) // also what was refused for its type
			for _, queue := range queues {
				var found *opened
				_, err := s.browse(ctx, queue, maxHeld, func(_ broker.Broker, d *broker.Delivery) (bool, error) {
					if wire.Identify(d).ID == args[0] {
						found = openLetter(d, queue, accept)
					}
					return found != nil, nil
				})
				if err != nil {
					return err
				}
				if found != nil {
					return s.printOpened(found)
				}
			}
			return noLetter(args[0], queues)
		},
	}
}

func noLetter(id string, queues []string) error {
	return Exit(Failure, fmt.Errorf("there is no dead letter with the id %s of the %s %s; `dead list` shows those that are there, -Q names other queues",
		id, plural(len(queues), "queue"), strings.Join(queues, ", ")))
}

// opened is a dead letter with its content.
type opened struct {
	letter
	ContentType string                     `json:"content_type"`
	Headers     map[string]any             `json:"headers"`
	Args        []json.RawMessage          `json:"args,omitempty"`
	Kwargs      map[string]json.RawMessage `json:"kwargs,omitempty"`
	Body        string                     `json:"body,omitempty"` // of a message that cannot be read
}

func openLetter(d *broker.Delivery, queue string, accept codec.Set) *opened {
	o := &opened{letter: readLetter(d, queue), ContentType: d.ContentType, Headers: map[string]any{}}
	for name, v := range d.Headers {
		o.Headers[name] = printable(v)
	}
	req, err := wire.Decode(d, accept, wire.Limits{})
	if err != nil {
		o.Body = strings.ToValidUTF8(string(d.Body), "\uFFFD")
		return o
	}
	o.Args, o.Kwargs = []json.RawMessage{}, map[string]json.RawMessage{}
	for _, raw := range req.Args {
		o.Args = append(o.Args, asJSON(req.Codec, raw))
	}
	for name, raw := range req.Kwargs {
		o.Kwargs[name] = asJSON(req.Codec, raw)
	}
	return o
}

// printable is a header as JSON shows it.
func printable(v any) any {
	if _, err := json.Marshal(v); err != nil { // not a finite number
		return task.Repr(v)
	}
	if b, ok := v.([]byte); ok {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return v
}

func (s *Session) printOpened(o *opened) error {
	rows := [][]string{
		{"id", orDash(o.ID)},
		{"task", orDash(o.Task)},
		{"queue", o.Queue},
		{"reason", string(o.Reason)},
		{"error", orDash(o.Error)},
		{"deliveries", o.deliveries()},
		{"time", o.time()},
		{"worker", orDash(o.Worker)},
		{"sent to", fmt.Sprintf("exchange %q, routing key %q", o.Exchange, o.RoutingKey)},
		{"content type", orDash(o.ContentType)},
	}
	names := make([]string, 0, len(o.Headers))
	for name := range o.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		rows = append(rows, []string{"header " + name, compact(o.Headers[name])})
	}
	if err := s.Print(Table{Rows: rows, Data: o}); err != nil || s.JSON() {
		return err
	}
	if o.Args == nil {
		return printLine(s.Out, "body\n"+oneLine(o.Body))
	}
	for _, part := range []struct {
		name  string
		value any
	}{{"args", o.Args}, {"kwargs", o.Kwargs}} {
		pretty, err := json.MarshalIndent(part.value, "", "  ")
		if err != nil {
			return errors.Join(errors.New("arguments cannot be shown"), err)
		}
		if err := printLine(s.Out, part.name+"\n"+string(pretty)); err != nil {
			return err
		}
	}
	return nil
}

func compact(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return task.Repr(v)
	}
	return string(encoded)
}
