package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// routeInfo is what `route` prints in JSON.
type routeInfo struct {
	Task       string `json:"task"`
	Queue      string `json:"queue,omitempty"` // declared before; none for a call to an exchange that must exist
	Exchange   string `json:"exchange"`        // "" is the default exchange, which leads to the queue that the routing key names
	RoutingKey string `json:"routing_key"`
	Priority   uint8  `json:"priority"`
	Decided    string `json:"decided"`
	Route      string `json:"route,omitempty"`
}

func (p *program) routeCommand() Command {
	f := &sendFlags{program: p}
	groups := f.groups()
	groups[0].Flags = f.arguments
	return Command{
		Use:   "route NAME",
		Short: "Tell where a task would go, and what decides that",
		Long: `Tell where a call of the task would go, and what decides that: the flags, the options of the task, one of the routes, or the default. It
sends nothing and connects to nothing.`,
		Example: `route feed.import
route video.cut --queue mine --priority 5
route tasks.add --args '[2, 3]' -o json`,
		MinArgs: 1, MaxArgs: 1, Groups: groups, Tabular: true, offline: true, complete: p.completeTasks,
		Run: func(ctx context.Context, s *Session, args []string) error { return f.route(ctx, s, args[0]) },
	}
}

func (f *sendFlags) route(ctx context.Context, s *Session, name string) error {
	sig, err := f.signature(name, time.Now())
	if err != nil {
		return err
	}
	app, err := s.App()
	if err != nil {
		return err
	}
	d, err := f.destination(ctx, app, sig)
	if err != nil {
		return err
	}
	info := routeInfo{
		Task: name, Queue: d.Call.Queue, Exchange: d.Address.Exchange, RoutingKey: d.Address.RoutingKey, Priority: d.Call.Priority,
		Decided: s.where(d.Decided), Route: s.where(d.Route),
	}
	rows := [][]string{
		{"task", name},
		{"queue", orDash(info.Queue)},
		{"exchange", exchangeName(info.Exchange)},
		{"routing key", orDash(info.RoutingKey)},
		{"priority", strconv.Itoa(int(info.Priority))},
		{"decided by", info.Decided},
		{"route", orDash(info.Route)},
	}
	return s.Print(Table{Rows: rows, Data: info})
}

// where adds to a route where it is written.
func (s *Session) where(route string) string {
	path, _, found := strings.Cut(route, ", ")
	for _, e := range s.Config.Entries("routes") {
		if found && e.Path == path {
			return fmt.Sprintf("%s (%s)", route, e.Origin)
		}
	}
	return route
}

func exchangeName(name string) string {
	if name == "" {
		return "(default)"
	}
	return name
}
