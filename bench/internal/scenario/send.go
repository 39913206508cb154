package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func send(ctx context.Context, r *Run) []result.Measure {
	to := func(s lab.Subject, variant string, senders int, mode string, speed float64) lab.Case {
		s.Setting = by(s, mode)
		c := lab.Case{Scenario: result.Send, Variant: variant, Subject: s, Order: s.Order, Speed: speed}
		c.Order.Mode, c.Order.Senders = mode, senders
		return c
	}
	single := func(s lab.Subject, speed float64) lab.Case { return to(s, result.SendSingle, 1, order.Each, speed) }
	many := func(s lab.Subject, speed float64) lab.Case { return to(s, result.SendMany, 64, order.Each, speed) }
	together := func(s lab.Subject, speed float64) lab.Case { return to(s, result.SendBatch, 1, order.Pipelined, speed) }

	python := celery("apply_async, not confirmed", "", 0, 0, 0)
	cases := []lab.Case{
		single(bare(), 1300), many(bare(), 7000), together(bare(), 10_000),
		single(taskq(), 1300), many(taskq(), 7000), together(taskq(), 10_000),
		single(python, 1000), single(machinery(64), 1200), many(machinery(64), 3000),
	}
	cases = append(cases, r.beyondQuick(
		single(celery("apply_async, confirmed", "solo confirm", 0, 0, 0), 600),
		single(asynq("", "", 10), 8000), many(asynq("", "", 10), 30_000),
		single(river("", "", 10, 0), 1000), together(river("", "", 10, 0), 20_000),
	)...)
	return r.inTurn(ctx, r.Lab.Send, cases...)
}

// by is what the subject sends with.
func by(s lab.Subject, mode string) string {
	together := mode == order.Pipelined
	switch {
	case s.Name == result.Bare:
		return "one channel"
	case s.Name == result.Taskq && together:
		return "App.SendBatch of 1000"
	case s.Name == result.Taskq:
		return "App.Send"
	case s.Name == result.Machinery:
		return "SendTask"
	case s.Name == result.Asynq:
		return "Enqueue, on Redis"
	case s.Name == result.River && together:
		return "InsertMany of 1000, on PostgreSQL"
	case s.Name == result.River:
		return "Insert, on PostgreSQL"
	}
	return s.Setting
}

// steady is the rate of the quiet latency, in tasks per second.
const steady = 100

// atRate has 8 seconds of tasks sent at a rate, or less in the shorter modes.
func (r *Run) atRate(c lab.Case, rate float64, senders int) lab.Case {
	seconds := map[string]float64{Full: 8, Quick: 4, Smoke: 0.5}[r.Mode]
	c.Scenario, c.Order.Mode, c.Order.Senders, c.Order.Rate = result.Latency, order.Each, senders, rate
	c.Tasks = max(int(rate*seconds), 20)
	return c
}

func latency(ctx context.Context, r *Run) []result.Measure {
	var cases []lab.Case
	for _, s := range r.awaited() {
		cases = append(cases, r.atRate(lab.Case{Variant: "100/s", Subject: s, Order: s.Order}, steady, 1))
	}
	return r.inTurn(ctx, r.Lab.Latency, cases...)
}

// awaited are the subjects whose latency is measured.
func (r *Run) awaited() []lab.Subject {
	subjects := []lab.Subject{bare(), taskq(), celerySolo(), machinery(64)}
	if r.Mode != Quick {
		subjects = append(subjects, celeryPrefork(), celeryThreads(), asynq("defaults", "", 10), asynq("checks every 10 ms", "tuned", 10),
			river("defaults", "", 100, 0), river("tuned", "tuned", 100, 0))
	}
	return subjects
}

// halfLoad measures what goes through each subject when sender and worker do what they can, and the latency at half of that.
func halfLoad(ctx context.Context, r *Run) []result.Measure {
	var cases []lab.Case
	for _, s := range []lab.Subject{bare(), taskq(), celerySolo(), machinery(64), asynq("checks every 10 ms", "tuned", 10)} {
		c := lab.Case{Scenario: result.Latency, Variant: "half load", Subject: s, Order: s.Order, Speed: 4000}
		c.Order.Mode, c.Order.Senders = order.Each, 64
		if s.Python {
			c.Order.Senders, c.Speed = 1, 1000 // threads of Python send no faster
		}
		cases = append(cases, c)
	}
	cases = r.possible(cases)
	once := r.plan()
	once.Rounds = 1
	rates := map[string]float64{}
	for _, m := range r.Lab.InTurn(ctx, once, r.Lab.Through, cases...) {
		rates[m.Subject+m.Setting] = m.Rate
	}
	var half []lab.Case
	for _, c := range cases {
		rate := rates[c.Subject.Name+c.Subject.Setting] / 2
		if rate <= 0 {
			continue // which has been said
		}
		senders := c.Order.Senders
		c = r.atRate(c, rate, senders)
		c.Note = fmt.Sprintf("at %.0f/s", rate)
		half = append(half, c)
	}
	return r.Lab.InTurn(ctx, once, r.Lab.Latency, half...)
}

func recovery(ctx context.Context, r *Run) []result.Measure {
	kills := map[string]int{Full: 20, Quick: 5, Smoke: 1}[r.Mode]
	of := func(s lab.Subject, n int) lab.Case {
		c := lab.Case{Scenario: result.Recovery, Subject: s, Order: s.Order, Tasks: n}
		c.Order.Work = order.Hold
		return c
	}
	cases := []lab.Case{of(bare(), kills), of(taskq(), kills), of(celery("solo, tuned, acks late", "solo tuned late", 1, 1, 0), kills/2)}
	plan := r.plan()
	plan.Rounds = 1
	return r.Lab.InTurn(ctx, plan, r.Lab.Recover, r.possible(cases)...)
}

func delays(ctx context.Context, r *Run) []result.Measure {
	parked := map[string]int{Full: 100_000, Quick: 10_000, Smoke: 100}[r.Mode]
	alone := r.ordinary(taskq(), result.DelayAlone)
	plan := r.plan()
	plan.Rounds = 1
	measures := r.Lab.InTurn(ctx, plan, r.Lab.Latency, alone)
	measures = append(measures, r.park(ctx, taskq(), parked, 64)...)
	if r.Mode == Full { // in a tenth of the number it takes as long
		measures = append(measures, r.park(ctx, celerySolo(), parked/10, 1)...)
	}
	return measures
}

// ordinary are tasks that are due at once.
func (r *Run) ordinary(s lab.Subject, variant string) lab.Case {
	c := r.atRate(lab.Case{Variant: variant, Subject: s, Order: s.Order}, steady, 1)
	c.Scenario = result.Delay
	return c
}

func (r *Run) park(ctx context.Context, s lab.Subject, n, senders int) []result.Measure {
	parking := lab.Case{Scenario: result.Delay, Variant: result.DelayParking, Subject: s, Order: s.Order, Tasks: n}
	parking.Order.Mode, parking.Order.Senders = order.Each, senders
	parked, ordinary, err := r.Lab.Park(ctx, parking, r.ordinary(s, result.DelayOrdinary))
	if err != nil {
		parked.Failed, ordinary.Failed = err.Error(), err.Error()
	}
	r.Say("%s: %s", parking, lab.Brief(parked))
	r.Say("%s, ordinary tasks: %s", parking, lab.Brief(ordinary))
	return []result.Measure{parked, ordinary}
}

func embedded(ctx context.Context, r *Run) []result.Measure {
	s := taskqEmbedded()
	drained := lab.Case{Scenario: result.Embedded, Subject: s, Order: s.Order}
	handed := r.atRate(lab.Case{Variant: "hand-over", Subject: s, Order: s.Order}, steady, 1)
	handed.Scenario = result.Embedded
	return append(r.inTurn(ctx, r.Lab.Drain, drained), r.inTurn(ctx, r.Lab.Latency, handed)...)
}

func footprint(ctx context.Context, r *Run) []result.Measure {
	subjects := []lab.Subject{taskq()}
	if r.Mode != Smoke {
		subjects = append(subjects, bare(), machinery(64), celerySolo(), celeryPrefork())
	}
	of := func(scenario string) (cases []lab.Case) {
		for _, s := range subjects {
			cases = append(cases, lab.Case{Scenario: scenario, Subject: s, Order: s.Order, Tasks: 1})
		}
		return r.possible(cases)
	}
	while := map[string]time.Duration{Full: 10 * time.Second, Quick: 5 * time.Second, Smoke: time.Second}[r.Mode]
	idle := func(ctx context.Context, c lab.Case) (result.Measure, error) { return r.Lab.Idle(ctx, c, while) }
	once := r.plan()
	once.Rounds = 1
	measures := r.Lab.InTurn(ctx, r.plan(), r.Lab.Start, of(result.Start)...)
	measures = append(measures, r.Lab.InTurn(ctx, once, idle, of(result.Idle)...)...)
	size := func(ctx context.Context, c lab.Case) (result.Measure, error) {
		return r.Lab.Size(ctx, c, "../cmd/taskq")
	}
	program := taskq()
	program.Setting = "cmd/taskq, with the command line and access_record"
	return append(measures, r.Lab.InTurn(ctx, once, size, lab.Case{Scenario: result.Binary, Subject: program, Tasks: 1})...)
}
