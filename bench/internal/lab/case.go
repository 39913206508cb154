package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/proc"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Results are where outcomes go.
const (
	ResultsOff      = ""
	ResultsRPC      = "rpc"
	ResultsRedis    = "redis"
	ResultsPostgres = "postgres"
)

// Case is one subject in one variant of a scenario, a row of a table.
type Case struct {
	Scenario, Variant string
	Subject           Subject
	Order             order.Order // the subject's own, with what the variant changes; addresses, Ledger and Role are filled in
	Results           string      // ResultsOff, ResultsRPC, …
	Quorum            bool        // the queues are quorum queues
	Workers           int         // processes; 0 means 1
	Env               []string    // besides the subject's
	Tasks             int         // how many are measured; 0: what takes about Seconds at Speed
	Speed             float64     // tasks in a second, expected; 0: the subject's
	Beside            *Case       // what runs meanwhile
	NoRows            bool        // it reads visits and stores none
	Note              string
}

// measure is an empty one of the case.
func (c Case) measure() result.Measure {
	return result.Measure{
		Scenario: c.Scenario, Variant: c.Variant, Subject: c.Subject.Name, Setting: c.Subject.Setting, Note: c.note(), CPU: map[string]float64{},
	}
}

// note joins what there is to say of the subject and of the case.
func (c Case) note() string {
	if c.Subject.Note != "" && c.Note != "" {
		return c.Subject.Note + "; " + c.Note
	}
	return c.Subject.Note + c.Note
}

// String is for the progress.
func (c Case) String() string { return c.Scenario + " " + c.Variant + ": " + c.Subject.String() }

// bench is the place where one measure is taken: fresh stores, a ledger, and the programs that run.
type bench struct {
	lab    *Lab
	order  order.Order
	ledger *ledger.Ledger
	stores stores
	runs   []*program
}

// set prepares a case: stores, queues and ledger.
func (l *Lab) set(ctx context.Context, c Case) (*bench, error) {
	b := &bench{lab: l, order: c.Order, stores: stores{servers: l.cfg.Servers}}
	if err := b.prepare(ctx, c); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context, c Case) (err error) {
	o := &b.order
	o.Tasks, o.Names, o.Quorum = c.Tasks, max(o.Names, 1), c.Quorum
	if len(o.Queues) == 0 {
		o.Queues = []string{"celery"}
	}
	if o.Work == "" {
		o.Work = order.Add
	}
	o.Ledger = b.lab.file("ledger")
	if b.ledger, err = ledger.Create(o.Ledger, o.Tasks); err != nil {
		return err
	}
	if o.Broker, err = b.stores.fresh(ctx, b.lab, c.Subject.Broker); err != nil {
		return err
	}
	if o.Work == order.Visit {
		if o.Database, err = b.stores.visits(ctx); err != nil {
			return err
		}
	}
	switch c.Results {
	case ResultsRPC:
		o.Results = o.Broker
	case ResultsRedis:
		o.Results, err = b.stores.fresh(ctx, b.lab, Redis)
	case ResultsPostgres:
		o.Results, err = b.stores.fresh(ctx, b.lab, Postgres)
	}
	if err == nil && c.Subject.Broker == RabbitMQ {
		err = declare(o.Broker, *o, c.Quorum)
	}
	return err
}

// Close ends what runs and removes what was made.
func (b *bench) Close() error {
	for _, p := range b.runs {
		p.kill()
	}
	var err error
	if b.ledger != nil {
		err = b.ledger.Close()
	}
	return errors.Join(err, b.stores.Close())
}

// fill fills the queues with all the tasks.
func (b *bench) fill(ctx context.Context, c Case) error {
	if c.Subject.Broker == Nowhere {
		return nil
	}
	if !c.Subject.Foreign && c.Subject.Broker == RabbitMQ {
		return fill(ctx, b.order.Broker, b.order)
	}
	o := b.order
	o.Mode, o.Senders = order.Pipelined, cmp.Or(c.Subject.Fillers, fillSenders)
	p, err := b.run(ctx, c, order.Send, o)
	if err != nil {
		return err
	}
	_, err = p.wait(fillWait)
	return err
}

const (
	fillSenders = 16
	fillWait    = 5 * time.Minute
)

// run starts a program in a role.
func (b *bench) run(ctx context.Context, c Case, role string, o order.Order) (*program, error) {
	o.Role = role
	p, err := b.lab.start(ctx, c.Subject, o, c.Env)
	if err == nil {
		b.runs = append(b.runs, p)
	}
	return p, err
}

// emptied proves that no task is left in the queues.
func (b *bench) emptied(ctx context.Context, c Case) error {
	if c.Subject.Broker != RabbitMQ {
		return nil // the ledger is the proof
	}
	return b.lab.holds(ctx, b.order.Broker, b.order.Queues, 0)
}

// kept proves that the outcome of every task was stored. What a foreign subject stores is its own affair.
func (b *bench) kept(ctx context.Context, c Case) error {
	if c.Subject.Foreign {
		return nil
	}
	var kept int
	var err error
	switch c.Results {
	case ResultsRPC:
		return b.lab.holds(ctx, b.order.Broker, []string{replies}, b.order.Tasks)
	case ResultsRedis:
		var size string
		if size, err = redis(ctx, b.order.Results, "DBSIZE"); err == nil {
			kept, err = strconv.Atoi(size)
		}
	case ResultsPostgres:
		kept, err = query(ctx, b.order.Results, "SELECT count(*) FROM django_celery_results_taskresult")
	default:
		return nil
	}
	if err == nil && kept < b.order.Tasks {
		err = fmt.Errorf("lab: %d outcomes were stored, want %d", kept, b.order.Tasks)
	}
	return err
}

// stored proves that every visit has its row.
func (b *bench) stored(ctx context.Context, c Case) error {
	if b.order.Work != order.Visit || c.NoRows {
		return nil
	}
	n, err := query(ctx, b.order.Database, "SELECT count(DISTINCT path) FROM access_record")
	if err == nil && n != b.order.Tasks {
		err = fmt.Errorf("lab: %d of %d visits have a row", n, b.order.Tasks)
	}
	return err
}

// used is what programs and servers have used at one moment.
type used struct {
	snapshot   proc.Snapshot
	sent, done int // tasks that were sent, and that had begun
}

// look looks at them.
func (b *bench) look() used {
	snapshot, _ := proc.Take() // an empty one knows of no process, and the figures are left out
	sum := b.ledger.Sum()
	return used{snapshot: snapshot, sent: sum.Sent, done: sum.Done}
}

// servers adds to a measure what each server that has a part in it used for each of n tasks between two looks.
func (b *bench) servers(m *result.Measure, from, to used, n int) {
	names := map[string]string{"amqp": result.OfRabbitMQ, "postgres": result.OfPostgres, "redis": result.OfRedis}
	for _, u := range []string{b.order.Broker, b.order.Results, b.order.Database} {
		scheme, _, _ := strings.Cut(u, ":")
		name := names[scheme]
		if pid := b.lab.pids[name]; pid > 0 && n > 0 {
			if spent, ok := between(from, to, pid); ok {
				m.CPU[name] = micros(spent, n)
			}
		}
	}
}

// between is what a process with its descendants used.
func between(from, to used, pid int) (time.Duration, bool) {
	before, err := from.snapshot.CPU(pid)
	if err != nil {
		return 0, false
	}
	after, err := to.snapshot.CPU(pid)
	return after - before, err == nil
}

// micros are microseconds for each of n.
func micros(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
