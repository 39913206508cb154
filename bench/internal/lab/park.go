package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/proc"
	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// hour is the delay of the tasks that are parked, in seconds.
const hour = 3600

// Park has tasks sent that are due in an hour while a worker runs, and measures how fast they are parked and by how much the worker
// grows; then the latency of ordinary tasks, as the order of beside says, with all of those there.
func (l *Lab) Park(ctx context.Context, parking, beside Case) (parked, ordinary result.Measure, err error) {
	parked, ordinary = parking.measure(), beside.measure()
	b, err := l.set(ctx, beside)
	if err != nil {
		return parked, ordinary, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	worker, err := b.run(ctx, beside, order.Work, b.order)
	if err != nil {
		return parked, ordinary, err
	}
	if err := b.park(ctx, parking, worker, &parked); err != nil {
		return parked, ordinary, err
	}
	sender, err := b.run(ctx, beside, order.Send, b.order)
	if err != nil {
		return parked, ordinary, err
	}
	if _, err := sender.wait(sendWait); err != nil {
		return parked, ordinary, err
	}
	if err := b.complete(ctx, worker); err != nil {
		return parked, ordinary, err
	}
	waits := b.ledger.Waits()
	ordinary.Waits, ordinary.Tasks, ordinary.Runs = quantiles(waits[len(waits)/10:]), len(waits), 1
	return parked, ordinary, b.parkedAll(ctx, parking.Tasks)
}

// park sends the tasks that wait.
func (b *bench) park(ctx context.Context, c Case, worker *program, m *result.Measure) error {
	o := b.order
	o.Tasks, o.Delay, o.Rate, o.Mode, o.Senders = c.Tasks, hour, 0, c.Order.Mode, c.Order.Senders
	o.Ledger = b.lab.file("ledger")
	sent, err := ledger.Create(o.Ledger, o.Tasks)
	if err != nil {
		return err
	}
	defer func() { _ = sent.Close() }() // nothing more comes
	pid := worker.cmd.Process.Pid
	from := b.look()
	before, _ := from.snapshot.Resident(pid) // 0 where it is not known
	sender, err := b.run(ctx, c, order.Send, o)
	if err != nil {
		return err
	}
	account, err := sender.wait(sendWait)
	if err != nil {
		return err
	}
	if err := b.parkedAll(ctx, o.Tasks); err != nil {
		return err
	}
	after := b.look()
	b.account(m, []*program{worker}, from, after, o.Tasks)
	if now, err := after.snapshot.Resident(pid); err == nil {
		m.Figure, m.Unit = float64(now-before)/1e6, "MB"
	}
	m.Tasks, m.Runs, m.Rate = o.Tasks, 1, float64(o.Tasks)/account.Seconds
	return nil
}

// parkedAll proves that the vhost has all the parked messages, those included that a worker holds. RabbitMQ counts every five seconds.
func (b *bench) parkedAll(ctx context.Context, n int) error {
	u, err := url.Parse(b.order.Broker)
	if err != nil || u.Scheme != "amqp" {
		return errors.New("lab: parked tasks are counted in RabbitMQ only")
	}
	path := "/api/queues/" + url.PathEscape(strings.TrimPrefix(u.Path, "/")) + "?columns=messages"
	deadline := time.Now().Add(b.lab.cfg.Patience)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		text, err := testserver.Manage(ctx, b.lab.cfg.Servers.RabbitMQ, http.MethodGet, path, "")
		if err != nil {
			return err
		}
		var queues []json.RawMessage
		if err := json.Unmarshal(text, &queues); err != nil {
			return fmt.Errorf("lab: management API: %w", err)
		}
		count := 0
		for _, text := range queues {
			var q struct{ Messages int }
			if json.Unmarshal(text, &q) == nil { // a queue that was not counted yet is an empty list
				count += q.Messages
			}
		}
		if count == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: there are %d messages, want %d", count, n)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// resident is what a program has in memory now; 0 where it is not known.
func resident(p *program) int64 {
	s, err := proc.Take()
	if err != nil {
		return 0
	}
	n, _ := s.Resident(p.cmd.Process.Pid)
	return n
}
