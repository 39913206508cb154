package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// Measure implements broker.Measurer.
func (b *Broker) Measure(ctx context.Context, name string) (broker.QueueStats, error) {
	stats, err := b.measure(ctx, name)
	if err != nil {
		return stats, fmt.Errorf("sqlite: measure queue %s: %w", name, err)
	}
	return stats, nil
}

func (b *Broker) measure(ctx context.Context, name string) (stats broker.QueueStats, err error) {
	if b.isClosed() {
		return stats, broker.ErrClosed
	}
	if err := b.catchUp(ctx); err != nil {
		return stats, err
	}
	var owner sql.NullInt64
	now := nowMillis()
	err = b.db.SQL().QueryRowContext(ctx, `SELECT owner,
		(SELECT count(*) FROM broker_messages WHERE lease = 0 AND queue = q.id) -
		(SELECT count(*) FROM broker_messages WHERE lease = 0 AND queue = q.id AND expires > 0 AND expires <= ?),
		(SELECT count(*) FROM broker_consumers WHERE queue = q.id)
		FROM broker_queues q WHERE name = ?`, now, name).Scan(&owner, &stats.Messages, &stats.Consumers)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return stats, broker.ErrNoQueue
	case err == nil && owner.Valid && owner.Int64 != b.ownerID():
		return stats, local.Locked(name)
	}
	return stats, err
}

// catchUp does what is due when no consumer is there whose keeper would.
func (b *Broker) catchUp(ctx context.Context) error {
	next, err := nextDue(ctx, b.db)
	if err != nil || next == 0 || next > nowMillis() {
		return err
	}
	return b.db.Write(ctx, upkeep)
}

// Purge implements broker.Purger.
func (b *Broker) Purge(ctx context.Context, name string) (int, error) {
	var purged int64
	err := b.write(ctx, "purge queue "+name, func(tx *sqlitedb.Tx) error {
		var spec []byte
		queue, err := b.findQueue(tx, name, &spec)
		if err != nil {
			return err
		}
		purged, err = tx.Exec("DELETE FROM broker_messages WHERE lease = 0 AND queue = ?", queue)
		return err
	})
	return int(purged), err
}
