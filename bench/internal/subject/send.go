package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/bench/internal/order"
)

// together is how many tasks a pipelined sender hands over at once.
const together = 1000

// Sender sends tasks.
type Sender interface {
	// Send sends the tasks from first up to, not including, end, and returns when the system has taken all of them. With order.Each
	// it is called for one at a time, from several goroutines.
	Send(ctx context.Context, first, end int) error
	Close() error
}

// Args are the arguments of the task that adds.
type Args struct {
	X   int    `json:"x"`
	Y   int    `json:"y"`
	Pad string `json:"pad,omitempty"`
}

// Args are those of the task with the number i.
func (j *Job) Args(i int) Args { return Args{X: i, Y: 2, Pad: strings.Repeat("x", j.Body)} }

// Payload is what the task with the number i is about, in JSON: Args or a Visit.
func (j *Job) Payload(i int) ([]byte, error) {
	if j.Work == order.Visit {
		return json.Marshal(NewVisit(i))
	}
	return json.Marshal(j.Args(i))
}

// Due is when the task that is being sent may run; the zero time is at once.
func (j *Job) Due() time.Time {
	if j.Delay <= 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(j.Delay * float64(time.Second)))
}

func send(ctx context.Context, j *Job, open func(context.Context, *Job) (Sender, error)) (order.Account, error) {
	var account order.Account
	step := 1
	switch j.Mode {
	case order.Each:
	case order.Pipelined:
		step = together
	default:
		return account, fmt.Errorf("mode %q is not known", j.Mode)
	}
	s, err := open(ctx, j)
	if err != nil {
		return account, err
	}
	j.Ready()
	begin := time.Now()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range max(j.Senders, 1) {
		group.Go(func() error {
			for {
				first := int(next.Add(int64(step))) - step
				if first >= j.Tasks {
					return nil
				}
				if err := j.hand(ctx, s, begin, first, min(first+step, j.Tasks)); err != nil {
					return err
				}
			}
		})
	}
	err = group.Wait()
	account.Seconds = time.Since(begin).Seconds()
	if closed := s.Close(); err == nil {
		err = closed
	}
	return account, err
}

// hand waits for the turn of the tasks, notes them as sent, and sends them.
func (j *Job) hand(ctx context.Context, s Sender, begin time.Time, first, end int) error {
	if j.Rate > 0 {
		turn := begin.Add(time.Duration(float64(first) / j.Rate * float64(time.Second)))
		timer := time.NewTimer(time.Until(turn))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := first; i < end; i++ {
		j.ledger.Sent(i)
	}
	return s.Send(ctx, first, end)
}
