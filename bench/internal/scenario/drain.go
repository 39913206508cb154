package scenario

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// drainCase is a drain of a subject, with one thing changed.
func drainCase(variant string, s lab.Subject, changes ...func(*lab.Case)) lab.Case {
	c := lab.Case{Scenario: result.Drain, Variant: variant, Subject: s, Order: s.Order}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func drain(ctx context.Context, r *Run) []result.Measure {
	return r.drains(ctx, 5*time.Minute, drainCase(result.Headline, bare()), drainCase(result.Headline, taskq()))
}

// drains measures drains in turn.
func (r *Run) drains(ctx context.Context, budget time.Duration, cases ...lab.Case) []result.Measure {
	return r.Lab.InTurn(ctx, r.plan(budget), r.Lab.Drain, r.possible(cases)...)
}
