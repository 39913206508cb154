package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// overlap is how long both must have run at once.
const overlap = 50 * time.Millisecond

// Beside is Drain of a case while its other case is being drained, too: the rate is that of the time when both ran.
func (l *Lab) Beside(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	if c.Beside == nil || c.Beside.Speed <= 0 || c.Speed <= 0 {
		return m, errors.New("lab: " + c.String() + ": both cases that run at once need a speed")
	}
	other := *c.Beside
	other.Tasks = max(int(float64(c.Tasks)*other.Speed/c.Speed), fewest) // so that both take about as long
	benches := make([]*bench, 0, 2)
	for _, one := range []Case{other, c} {
		b, err := l.set(ctx, one)
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		benches = append(benches, b)
		if err := b.fill(ctx, one); err != nil {
			return m, err
		}
	}
	if _, err := benches[0].run(ctx, other, order.Work, benches[0].order); err != nil {
		return m, err
	}
	if err := benches[1].workOff(ctx, c, &m); err != nil {
		return m, err
	}
	if err := benches[1].prove(ctx, c, &m); err != nil {
		return m, err
	}
	begin, end := bothRan(benches[0].ledger.Sum(), benches[1].ledger.Sum())
	if end.Sub(begin) < overlap && c.Tasks > fewest*10 {
		return m, fmt.Errorf("lab: %s and %s did not run at the same time", c.Subject, other.Subject)
	}
	if n := benches[1].ledger.Between(begin, end); n > 1 && end.After(begin) {
		m.Rate = float64(n-1) / end.Sub(begin).Seconds()
	}
	return m, nil
}

// bothRan is the time in which tasks of both started.
func bothRan(a, b ledger.Summary) (begin, end time.Time) {
	begin, end = a.First, a.Last
	if b.First.After(begin) {
		begin = b.First
	}
	if b.Last.Before(end) {
		end = b.Last
	}
	return begin, end
}
