package outbox

import (
	"context"

	"github.com/seed-399731e2/taskq/broker"
)

var _ broker.Parking = (*Store)(nil)

// Of the rows that wait for their time, those that are due within two seconds are as good as on their way, and are not shown. What is shown
// is removed up to a second before it is due, so that no relay has read it already.
const (
	waiting   = "attempts = 0 AND not_before > clock_timestamp() + interval '2 seconds'"
	removable = "attempts = 0 AND not_before > clock_timestamp() + interval '1 second'"
)

// Parked implements broker.Parking for what waits in the outbox for its time.
func (s *Store) Parked(ctx context.Context, show func(broker.Parked) bool) error {
	return s.failed("list what waits", s.each(ctx, waiting, func(r Row) bool { return show(r.parked()) }))
}

// Unpark implements broker.Parking. What it counts will not be published.
func (s *Store) Unpark(ctx context.Context, match func(broker.Parked) bool) (int, error) {
	var ids []int64
	removed := 0
	remove := func() error {
		n, err := s.change(ctx, "take back", "DELETE FROM "+s.cfg.Table.String()+" WHERE "+removable, ids)
		removed, ids = removed+n, ids[:0]
		return err
	}
	var failed error
	err := s.each(ctx, waiting, func(r Row) bool {
		if match(r.parked()) {
			ids = append(ids, r.ID)
		}
		if len(ids) == page {
			failed = remove()
		}
		return failed == nil
	})
	if failed != nil {
		return removed, failed
	}
	if err != nil {
		return removed, s.failed("list what waits", err)
	}
	if len(ids) > 0 {
		err = remove()
	}
	return removed, err
}

func (r Row) parked() broker.Parked {
	return broker.Parked{Message: r.Message, To: r.To, Due: r.NotBefore}
}
