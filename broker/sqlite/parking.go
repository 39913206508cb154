package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

var _ broker.Parking = (*Broker)(nil)

// parkPage bounds how many parked messages are read at once.
const parkPage = 500

// parkedMessage is one that waits for its time.
type parkedMessage struct {
	broker.Parked
	id int64
}

// Parked implements broker.Parking. A message that goes to several queues is shown for each.
func (b *Broker) Parked(ctx context.Context, show func(broker.Parked) bool) error {
	return b.eachParked(ctx, func(page []parkedMessage) (more bool, err error) {
		for _, p := range page {
			if !show(p.Parked) {
				return false, nil
			}
		}
		return true, nil
	})
}

// Unpark implements broker.Parking.
func (b *Broker) Unpark(ctx context.Context, match func(broker.Parked) bool) (n int, err error) {
	err = b.eachParked(ctx, func(page []parkedMessage) (bool, error) {
		var matching []int64
		for _, p := range page {
			if match(p.Parked) {
				matching = append(matching, p.id)
			}
		}
		removed, err := b.removeParked(ctx, matching)
		n += removed
		return true, err
	})
	return n, err
}

// removeParked removes those that have not become due meanwhile.
func (b *Broker) removeParked(ctx context.Context, matching []int64) (n int, err error) {
	if len(matching) == 0 {
		return 0, nil
	}
	err = b.write(ctx, "unpark", func(tx *sqlitedb.Tx) error {
		n = 0
		for _, id := range matching {
			removed, err := tx.Exec("DELETE FROM broker_messages WHERE id = ? AND lease = ?", id, parked)
			if err != nil {
				return err
			}
			n += int(removed)
		}
		return nil
	})
	return n, err
}

// eachParked passes on what is parked, page by page, until do wants no more.
func (b *Broker) eachParked(ctx context.Context, do func([]parkedMessage) (more bool, err error)) error {
	if b.isClosed() {
		return fmt.Errorf("sqlite: list what is parked: %w", broker.ErrClosed)
	}
	for after := int64(0); ; {
		page, err := b.parkedAfter(ctx, after)
		if err != nil {
			return fmt.Errorf("sqlite: list what is parked: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		if more, err := do(page); err != nil || !more {
			return err
		}
		after = page[len(page)-1].id
	}
}

func (b *Broker) parkedAfter(ctx context.Context, after int64) ([]parkedMessage, error) {
	rows, err := b.db.SQL().QueryContext(ctx, `SELECT id, due, exchange, key, properties, body FROM broker_messages
		WHERE lease = -1 AND id > ? ORDER BY id LIMIT ?`, after, parkPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []parkedMessage
	for rows.Next() {
		p, err := scanParked(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, p)
	}
	return page, rows.Err()
}

func scanParked(rows *sql.Rows) (p parkedMessage, err error) {
	var due int64
	var properties, body []byte
	if err := rows.Scan(&p.id, &due, &p.To.Exchange, &p.To.RoutingKey, &properties, &body); err != nil {
		return p, err
	}
	if p.Message, err = record.Decode(properties); err != nil {
		return p, fmt.Errorf("message %d: %w", p.id, err)
	}
	p.Body, p.Due = body, time.UnixMilli(due)
	return p, nil
}
