package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

const (
	// beats is how many times at least a lease is renewed before it would run out.
	beats = 10
	// beatPause is the longest time between two renewals, and so until the death of another process is noticed.
	beatPause = time.Second
	// lookPause bounds how often the keeper looks for what is due, and so how late something that has just been published is noticed.
	lookPause = 20 * time.Millisecond
)

// keeper is the one goroutine of a Broker: it renews the lease, does what has become due, and claims messages for the consumers.
// Its fields are its own.
type keeper struct {
	*Broker
	watch   *sqlitedb.Watch
	beaten  time.Time // when the lease was last renewed
	looked  time.Time // when next was last found out
	next    int64     // when something is due; 0: nothing is
	skipped bool      // next may be out of date
}

func (k *keeper) run() {
	defer k.watch.Stop()
	beat := time.NewTicker(k.beatEvery())
	defer beat.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-beat.C:
			k.beat()
		case <-due.C:
		case <-k.watch.C:
		case <-k.kick:
		}
		if err := errors.Join(k.upkeep(k.ctx), k.claim()); err != nil {
			k.warn(k.ctx, "messages could not be claimed", err)
		}
		due.Reset(k.pause())
	}
}

func (b *Broker) beatEvery() time.Duration { return min(b.lease/beats, beatPause) }

// warn logs what the next beat tries again. It is quiet when the Broker is closing.
func (k *keeper) warn(ctx context.Context, message string, err error) {
	if k.ctx.Err() == nil {
		k.log.WarnContext(ctx, message, "broker", "sqlite", "error", err) //nolint:sloglint // the callers' are constants
	}
}

// pause is how long the keeper may rest if nobody nudges it.
func (k *keeper) pause() time.Duration {
	if k.skipped {
		return max(0, lookPause-time.Since(k.looked))
	}
	if k.next == 0 {
		return time.Hour
	}
	return max(time.Millisecond, time.Until(time.UnixMilli(k.next)))
}

// beat renews the lease, and looks after those who no longer can.
func (k *keeper) beat() {
	start := time.Now()
	var renewed int64
	err := k.write(k.ctx, "renew the lease", func(tx *sqlitedb.Tx) (err error) {
		renewed, err = tx.Exec("UPDATE broker_owners SET expires = ? WHERE id = ?", start.Add(k.lease).UnixMilli(), k.ownerID())
		return err
	})
	switch {
	case err != nil:
		k.warn(k.ctx, "lease could not be renewed", err)
		return
	case renewed == 0:
		k.log.WarnContext(k.ctx, "lease lost", "broker", "sqlite")
		err = k.rejoin(k.ctx)
	default:
		k.mu.Lock()
		k.session.alive = start
		for _, c := range k.consumers {
			c.offer() // what was held back while the lease was in doubt
		}
		k.mu.Unlock()
		err = k.dropDeleted(k.ctx)
	}
	if err != nil {
		k.warn(k.ctx, "consumers could not be looked after", err)
	}
	k.giveBackStranded()
	k.reap(k.ctx)
}

// rejoin begins a new session after the old one was declared dead. All that the consumers held is stale.
func (k *keeper) rejoin(ctx context.Context) error {
	s, err := k.register(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	old := k.session
	k.session = s
	k.stranded = nil
	var live []*Consumer
	for _, c := range k.consumers {
		c.forget()
		if c.ended == nil {
			live = append(live, c)
		}
	}
	k.mu.Unlock()
	errs := []error{old.lock.release()}
	for _, c := range live {
		var queues []subscription
		err := k.write(ctx, "consume", func(tx *sqlitedb.Tx) (err error) {
			queues, err = k.subscribe(tx, s.id, c.cfg)
			return err
		})
		k.mu.Lock()
		if err != nil {
			c.end(err)
		} else {
			c.queues = queues
		}
		k.mu.Unlock()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dropDeleted takes deleted queues from the consumers. When others have declared this owner dead just now, its rows are gone with it: the
// next beat writes new ones.
func (k *keeper) dropDeleted(ctx context.Context) error {
	k.mu.Lock()
	before := append([]*Consumer(nil), k.consumers...) // those started below have their rows already
	k.mu.Unlock()
	rows, err := k.db.SQL().QueryContext(ctx, `SELECT coalesce(c.id, 0) FROM broker_owners o LEFT JOIN broker_consumers c ON c.owner = o.id
		WHERE o.id = ?`, k.ownerID())
	if err != nil {
		return err
	}
	defer rows.Close()
	there := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		there[id] = true
	}
	if err := rows.Err(); err != nil || len(there) == 0 {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range before {
		c.keepSubscriptions(there)
	}
	return nil
}

func (c *Consumer) keepSubscriptions(there map[int64]bool) {
	var kept []subscription
	for _, s := range c.queues {
		if there[s.id] {
			kept = append(kept, s)
		}
	}
	if len(c.queues) > 0 && len(kept) == 0 {
		c.end(fmt.Errorf("queue %q was deleted: %w", c.queues[0].name, broker.ErrNoQueue))
	}
	c.queues = kept
}

func (k *keeper) giveBackStranded() {
	k.mu.Lock()
	stranded := k.stranded
	k.stranded = nil
	k.mu.Unlock()
	if err := k.giveBack(k.ctx, stranded, counted); err != nil {
		k.warn(k.ctx, "deliveries could not be given back", err)
	}
}

// upkeep does what has become due: parked messages, expired ones, unused queues.
func (k *keeper) upkeep(ctx context.Context) error {
	now := time.Now()
	isDue := k.next > 0 && k.next <= now.UnixMilli()
	if k.skipped = !isDue && now.Sub(k.looked) < lookPause; k.skipped {
		return nil
	}
	k.looked = now
	next, err := nextDue(ctx, k.db)
	if err != nil {
		return err
	}
	if k.next = next; next == 0 || next > now.UnixMilli() {
		return nil
	}
	k.next = 0
	k.skipped = true // there may be more
	return k.write(ctx, "upkeep", upkeep)
}

// nextDue returns when there will be something for upkeep, 0 for never.
func nextDue(ctx context.Context, db *sqlitedb.DB) (int64, error) {
	var next sql.NullInt64
	err := db.SQL().QueryRowContext(ctx, `SELECT min(at) FROM (
		SELECT min(due) AS at FROM broker_messages WHERE lease = -1
		UNION ALL SELECT min(expires) FROM broker_messages WHERE lease = 0 AND expires > 0
		UNION ALL SELECT min(idle_since + idle_for) FROM broker_queues WHERE idle_for > 0 AND idle_since > 0)`).Scan(&next)
	return next.Int64, err
}

// upkeepSize bounds how many messages die in one transaction.
const upkeepSize = 500

func upkeep(tx *sqlitedb.Tx) error {
	now := nowMillis()
	freed, err := tx.Exec("UPDATE broker_messages SET lease = 0 WHERE lease = -1 AND due <= ?", now)
	if err != nil {
		return err
	}
	if freed > 0 {
		tx.Announce(topic)
	}
	expired, err := ids(tx, `SELECT id FROM broker_messages WHERE lease = 0 AND expires > 0 AND expires <= ?
		ORDER BY expires, id LIMIT ?`, now, upkeepSize)
	if err != nil {
		return err
	}
	for _, id := range expired {
		if err := die(tx, receipt{id: id, lease: ready}, anyDeliveries); err != nil {
			return err
		}
	}
	unused, err := ids(tx, "SELECT id FROM broker_queues WHERE idle_for > 0 AND idle_since > 0 AND idle_since + idle_for <= ?", now)
	if err != nil {
		return err
	}
	for _, queue := range unused {
		if err := deleteQueue(tx, queue); err != nil {
			return err
		}
	}
	return nil
}
