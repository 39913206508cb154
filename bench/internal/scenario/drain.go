package scenario

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// change varies a case.
type change func(*lab.Case)

// drainCase is a drain of a subject, with one thing changed.
func drainCase(variant string, s lab.Subject, changes ...change) lab.Case {
	c := lab.Case{Scenario: result.Drain, Variant: variant, Subject: s, Order: s.Order}
	for _, change := range changes {
		change(&c)
	}
	return c
}

// drains measures drains in turn.
func (r *Run) drains(ctx context.Context, cases ...lab.Case) []result.Measure {
	return r.inTurn(ctx, r.Lab.Drain, cases...)
}

func speed(n float64) change { return func(c *lab.Case) { c.Speed = n } }

func note(text string) change { return func(c *lab.Case) { c.Note = text } }

func drain(ctx context.Context, r *Run) []result.Measure {
	cases := []lab.Case{
		drainCase("", bare()), drainCase("", taskq()), drainCase("", celerySolo()), drainCase("", machinery(64)),
	}
	cases = append(cases, r.beyondQuick(
		drainCase("", celerySoloLate()), drainCase("", celeryPrefork()), drainCase("", celeryPreforkTuned()), drainCase("", celeryThreads()), drainCase("", machinery(3)),
		drainCase("", asynq("defaults", "", 10)), drainCase("", asynq("defaults", "", 64)),
		drainCase("", river("defaults", "", 100, 800)), drainCase("", river("tuned", "tuned", 2000, 10_000)),
		drainCase("", goceleryRedis()), drainCase("", gocelery()), drainCase("channels=2", bareChannels(2)),
	)...)
	return r.drains(ctx, cases...)
}

func results(ctx context.Context, r *Run) []result.Measure {
	to := func(where string, factor float64) change {
		return func(c *lab.Case) {
			c.Variant, c.Results, c.Speed = "results="+where, where, factor*float64(c.Subject.Speed)
		}
	}
	var cases []lab.Case
	for _, where := range []string{lab.ResultsRPC, lab.ResultsRedis, lab.ResultsPostgres} {
		cases = append(cases, drainCase("", taskq(), to(where, 0.4)), drainCase("", celerySolo(), to(where, 0.4)))
		cases = append(cases, r.beyondQuick(drainCase("", celeryPreforkTuned(), to(where, 0.4)))...)
	}
	cases = append(cases, drainCase("", bare(), to(lab.ResultsRPC, 0.5)))
	cases = append(cases, r.beyondQuick(
		drainCase("", machinery(64), to(lab.ResultsRPC, 0.02), note("a queue for each result")), drainCase("", machinery(64), to(lab.ResultsRedis, 0.3)),
	)...)
	return r.drains(ctx, cases...)
}

func slots(ctx context.Context, r *Run) []result.Measure {
	var cases []lab.Case
	for _, n := range []int{1, 10, 100, 1000} {
		s := taskqWith("goroutines", n, max(60, 2*n))
		cases = append(cases, drainCase(fmt.Sprintf("slots=%d", n), s))
	}
	return r.drains(ctx, cases...)
}

func pools(ctx context.Context, r *Run) []result.Measure {
	return r.drains(ctx,
		drainCase("pool=solo", taskqWith("solo", 1, 60)), drainCase("pool=threads", taskqWith("threads", 10, 60)),
		drainCase("pool=goroutines", taskqWith("goroutines", 10, 60)))
}

func queues(ctx context.Context, r *Run) []result.Measure {
	several := func(n int) change {
		return func(c *lab.Case) {
			c.Variant = fmt.Sprintf("queues=%d", n)
			for i := range n {
				c.Order.Queues = append(c.Order.Queues, fmt.Sprintf("queue%d", i))
			}
		}
	}
	return r.drains(ctx, drainCase("", bare(), several(1)), drainCase("", bare(), several(10)),
		drainCase("", taskq(), several(1)), drainCase("", taskq(), several(10)))
}

func names(ctx context.Context, r *Run) []result.Measure {
	kinds := func(n int) change {
		return func(c *lab.Case) { c.Variant, c.Order.Names = fmt.Sprintf("names=%d", n), n }
	}
	return r.drains(ctx, drainCase("", taskq(), kinds(1)), drainCase("", taskq(), kinds(100)))
}

func queued(ctx context.Context, r *Run) []result.Measure {
	waiting := func(variant string, n int) change {
		return func(c *lab.Case) { c.Variant, c.Tasks = "queued="+variant, n }
	}
	cases := []lab.Case{drainCase("", bare(), waiting("1k", 1000)), drainCase("", taskq(), waiting("1k", 1000))}
	if r.Mode == Full {
		cases = append(cases, drainCase("", bare(), waiting("10k", 10_000)), drainCase("", taskq(), waiting("10k", 10_000)))
	}
	measures := r.drains(ctx, cases...)
	if r.Mode == Full {
		once := r.plan()
		once.Rounds = 1
		cases := []lab.Case{
			drainCase("", bare(), waiting("100k", 100_000)), drainCase("", taskq(), waiting("100k", 100_000)),
			drainCase("", taskq(), waiting("1M", 1_000_000)),
		}
		measures = append(measures, r.Lab.InTurn(ctx, once, r.Lab.Drain, r.possible(cases)...)...)
	}
	return measures
}

func bodies(ctx context.Context, r *Run) []result.Measure {
	bytes := func(variant string, n int, speed float64) change {
		return func(c *lab.Case) { c.Variant, c.Order.Body, c.Speed = "body="+variant, n, speed }
	}
	var cases []lab.Case
	for _, s := range []lab.Subject{bare(), taskq()} {
		cases = append(cases, drainCase("", s, bytes("1 KB", 1000, 10_000)), drainCase("", s, bytes("10 KB", 10_000, 5000)))
		cases = append(cases, r.beyondQuick(drainCase("", s, bytes("100 KB", 100_000, 700)))...)
		large := drainCase("", s, bytes("1 MB", 1_000_000, 100))
		if r.Mode == Smoke {
			large.Tasks = 10
		}
		cases = append(cases, large)
	}
	return r.drains(ctx, cases...)
}

func types(ctx context.Context, r *Run) []result.Measure {
	quorum := func(c *lab.Case) { c.Variant, c.Quorum = "queue=quorum", true }
	return r.drains(ctx, drainCase("", bare(), quorum), drainCase("", taskq(), quorum)) // Celery 5.2 asks for a global prefetch, which these do not have
}

func logs(ctx context.Context, r *Run) []result.Measure {
	s := taskqWith("goroutines log", 10, 60)
	s.Setting = "goroutines -c 10, prefetch 60, two lines for each task"
	return r.drains(ctx, drainCase("log=info", s, speed(8000)))
}

// inTurn measures cases in turn, as far as their servers are there.
func (r *Run) inTurn(ctx context.Context, measure lab.Measurement, cases ...lab.Case) []result.Measure {
	return r.Lab.InTurn(ctx, r.plan(), measure, r.possible(cases)...)
}

// beyondQuick leaves the cases out of the mode quick.
func (r *Run) beyondQuick(cases ...lab.Case) []lab.Case {
	if r.Mode == Quick {
		return nil
	}
	return slices.Clone(cases)
}
