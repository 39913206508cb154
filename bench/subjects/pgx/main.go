// Command pgx is the limit of storing: visits go into the table access_record as fast as pgx does it, without a queue. It has Slots
// connections, and stores each visit by an INSERT of its own or, with Batch, that many by one COPY.
package main

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

func main() { subject.Main("pgx", subject.Roles{Work: work}) }

func work(ctx context.Context, j *subject.Job) error {
	j.Ready()
	step := max(j.Batch, 1)
	var next atomic.Int64
	group, storing := errgroup.WithContext(context.WithoutCancel(ctx)) // what is begun is stored
	for range max(j.Slots, 1) {
		group.Go(func() error {
			for ctx.Err() == nil {
				first := int(next.Add(int64(step))) - step
				if first >= j.Tasks {
					return nil
				}
				if err := store(storing, j, first, min(first+step, j.Tasks)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	<-ctx.Done() // the harness says when it has seen enough
	return nil
}

func store(ctx context.Context, j *subject.Job, first, end int) error {
	if j.Batch == 0 {
		return j.Visit(ctx, subject.NewVisit(first))
	}
	visits := make([]subject.Visit, 0, end-first)
	for i := first; i < end; i++ {
		visits = append(visits, subject.NewVisit(i))
	}
	return j.VisitAll(ctx, visits)
}
