package scenario

import (
	"context"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func visitCase(variant string, s lab.Subject, speed float64) lab.Case {
	c := lab.Case{Scenario: result.Visit, Variant: variant, Subject: s, Order: s.Order, Speed: speed}
	c.Order.Work = order.Visit
	if s.Name == result.Taskq {
		c.Note = "notes the task's id as well, so that a visit that is delivered twice is stored once; the others insert the row alone"
	}
	return c
}

// beside is a case while another one runs, too.
func beside(c, other lab.Case, text string) lab.Case {
	other.NoRows, c.NoRows = other.Subject.Name == result.Bare, c.Subject.Name == result.Bare
	c.Beside, c.Note = &other, text
	return c
}

func visits(ctx context.Context, r *Run) []result.Measure {
	const limit = "consumes, stores nothing, while pgx stores"
	const store = "stores, consumes nothing, while the bare client consumes"
	consume, insert := visitCase(result.VisitSingle, bare(), 6000), visitCase(result.VisitSingle, pgx(8, 0), 6000)
	collect, copying := visitCase(result.VisitBatch, bare(), 10_000), visitCase(result.VisitBatch, pgx(1, 1000), 20_000)
	cases := []lab.Case{
		beside(consume, insert, limit), beside(insert, consume, store),
		visitCase(result.VisitSingle, taskqWith("goroutines", 8, 64), 5000),
		beside(collect, copying, limit), beside(copying, collect, store),
		visitCase(result.VisitBatch, taskqBatch(500), 0),
		visitCase(result.VisitSingle, celery("threads 8, connection kept", "threads tuned", 8, 512, 1500), 0),
		visitCase(result.VisitSingle, celery("threads 8, connection per task", "threads tuned reconnect", 8, 512, 50), 0),
		visitCase(result.VisitSingle, machinery(64), 4000),
	}
	cases = append(cases, r.beyondQuick(
		visitCase(result.VisitSingle, celery("prefork 2, connection kept", "prefork tuned", 2, 256, 1200), 0),
		visitCase(result.VisitSingle, asynq("defaults", "", 10), 4000),
		visitCase(result.VisitSingle, river("tuned", "tuned", 32, 0), 3000),
	)...)
	return r.inTurn(ctx, r.visit, cases...)
}

// visit drains a case, or both of two at once.
func (r *Run) visit(ctx context.Context, c lab.Case) (result.Measure, error) {
	if c.Beside != nil {
		return r.Lab.Beside(ctx, c)
	}
	return r.Lab.Drain(ctx, c)
}

// knobs are the settings that a page about tuning shows, one at a time.
func knobs(ctx context.Context, r *Run) []result.Measure {
	knob := func(variant string, s lab.Subject, changes ...change) lab.Case {
		c := drainCase(variant, s, changes...)
		c.Scenario = result.Knobs
		return c
	}
	env := func(e string) change { return func(c *lab.Case) { c.Env = []string{e} } }
	to := func(where string) change { return func(c *lab.Case) { c.Results, c.Speed = where, 6000 } }
	logging := taskqWith("goroutines log", 10, 60)
	logging.Setting = strings.Replace(taskq().Setting, "goroutines", "log level info, goroutines", 1)
	cases := []lab.Case{
		knob("", taskq()), knob("prefetch=10", taskqWith("goroutines", 10, 10), speed(8000)), knob("prefetch=20", taskqWith("goroutines", 10, 20)),
		knob("prefetch=250", taskqWith("goroutines", 10, 250)), knob("prefetch=1000", taskqWith("goroutines", 10, 1000)),
		knob("GOGC=400", taskq(), env("GOGC=400")), knob("queue=quorum", taskq(), func(c *lab.Case) { c.Quorum = true }),
		knob("pool=threads", taskqWith("threads", 10, 60)), knob("pool=solo", taskqWith("solo", 1, 60)), knob("log=info", logging, speed(8000)),
		knob("slots=1", taskqWith("goroutines", 1, 60)), knob("slots=100", taskqWith("goroutines", 100, 200)),
		knob("workers=2", taskq(), func(c *lab.Case) { c.Workers = 2 }),
		knob("results=rpc", taskq(), to(lab.ResultsRPC)), knob("results=redis", taskq(), to(lab.ResultsRedis)),
		knob("results=postgres", taskq(), to(lab.ResultsPostgres)),
	}
	if r.Mode == Smoke {
		cases = cases[:2]
	}
	measures := asEach(r.drains(ctx, cases...))
	var stored []lab.Case
	for _, c := range []lab.Case{
		visitCase("batch=1", taskqWith("goroutines", 8, 64), 5000), visitCase("batch=100", taskqBatch(100), 8000),
		visitCase("batch=500", taskqBatch(500), 10_000), visitCase("batch=2000", taskqBatch(2000), 10_000),
	} {
		c.Scenario = result.Knobs
		stored = append(stored, c)
	}
	measures = append(measures, r.drains(ctx, stored...)...)
	return append(measures, r.sendKnobs(ctx)...)
}

// asEach has the measure in which nothing is turned stand for each knob as it is unless somebody turns it.
func asEach(measures []result.Measure) []result.Measure {
	i := slices.IndexFunc(measures, func(m result.Measure) bool { return m.Variant == "" })
	if i < 0 {
		return measures // it was interrupted
	}
	usual := measures[i]
	measures = slices.Delete(measures, i, i+1)
	for _, variant := range []string{
		"prefetch=60", "GOGC=100", "queue=classic", "pool=goroutines", "log=warning", "slots=10", "workers=1", "results=off",
	} {
		usual.Variant = variant
		measures = append(measures, usual)
	}
	return measures
}

func (r *Run) sendKnobs(ctx context.Context) []result.Measure {
	to := func(variant string, senders int, mode string, speed float64) lab.Case {
		c := lab.Case{Scenario: result.Knobs, Variant: variant, Subject: taskq(), Order: taskq().Order, Speed: speed}
		c.Order.Mode, c.Order.Senders, c.Subject.Setting = mode, senders, by(taskq(), mode)
		return c
	}
	return r.inTurn(ctx, r.Lab.Send, to("send=one by one", 1, order.Each, 1000), to("send=16 goroutines", 16, order.Each, 4000),
		to("send=64 goroutines", 64, order.Each, 6000), to("send=batches of 1000", 1, order.Pipelined, 8000))
}
