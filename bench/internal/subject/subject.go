// Package subject is what the measured programs have in common, so that none of them has it easier than another: reading the order,
// the bodies of the tasks, pacing the senders, the account at the end.
package subject

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
)

// Job is an order that is being carried out.
type Job struct {
	order.Order

	ledger *ledger.Ledger
	visits *Visits // nil: no task of this order stores any
	meter  order.Meter
}

// Roles are what a program can do.
type Roles struct {
	// Work consumes until ctx ends, settles what it has begun, and returns. It calls Ready when it consumes.
	Work func(ctx context.Context, j *Job) error
	// Open connects a sender. nil: the system cannot send.
	Open func(ctx context.Context, j *Job) (Sender, error)
	// StoresItself says that the system has a task of its own that stores visits, with its own connections.
	StoresItself bool
}

// Main carries out the order of the command line and ends the program.
func Main(name string, roles Roles) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, roles)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, roles Roles) error {
	o, err := order.Read()
	if err != nil {
		return err
	}
	l, err := ledger.Open(o.Ledger)
	if err != nil {
		return err
	}
	defer l.Close()
	j := &Job{Order: o, ledger: l}
	var account order.Account
	switch {
	case o.Role == order.Work && roles.Work != nil:
		err = work(ctx, j, roles)
	case o.Role == order.Send && roles.Open != nil:
		account, err = send(ctx, j, roles.Open)
	default:
		err = fmt.Errorf("role %q is not known", o.Role)
	}
	if err != nil {
		return err
	}
	j.meter.End(&account)
	return account.Write(os.Stdout)
}

func work(ctx context.Context, j *Job, roles Roles) error {
	if j.Work == order.Visit && !roles.StoresItself {
		visits, err := OpenVisits(ctx, j.Database, j.Slots)
		if err != nil {
			return err
		}
		defer visits.Close()
		j.visits = visits
	}
	return roles.Work(ctx, j)
}

// Ready tells the harness that the work begins.
func (j *Job) Ready() {
	j.meter.Begin()
	fmt.Println(order.Ready)
}

// Add is the body of the task that adds, for all subjects the same.
func (j *Job) Add(x, y int) (int, error) {
	if err := j.ledger.Ran(x); err != nil {
		return 0, err
	}
	if j.Work == order.Hold && j.ledger.Runs(x) == 1 {
		<-make(chan struct{}) // until the process is killed
	}
	return x + y, nil
}

// Visited notes that the visit of the task with the number n is about to be stored, for subjects that store it themselves.
func (j *Job) Visited(n int) error { return j.ledger.Ran(n) }

// Visit is the body of the task that stores a visit. The ledger has it before the database, as the start of the task; the harness
// counts the rows besides.
func (j *Job) Visit(ctx context.Context, v Visit) error {
	n, err := v.Number()
	if err != nil {
		return err
	}
	if err := j.ledger.Ran(n); err != nil {
		return err
	}
	return j.visits.Insert(ctx, v)
}

// VisitAll is the body of a task that stores visits together.
func (j *Job) VisitAll(ctx context.Context, visits []Visit) error {
	for _, v := range visits {
		n, err := v.Number()
		if err != nil {
			return err
		}
		if err := j.ledger.Ran(n); err != nil {
			return err
		}
	}
	return j.visits.Copy(ctx, visits)
}
