package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// receipt names one handing-out of a message: it settles that one and no other.
type receipt struct {
	id         int64
	lease      int64 // the session's id
	deliveries int64
}

// settle tells the file what became of a delivery of c.
func (b *Broker) settle(ctx context.Context, c *Consumer, r receipt, how broker.Disposition) error {
	b.mu.Lock()
	_, held := c.outstanding[r]
	b.mu.Unlock()
	if !held {
		return fmt.Errorf("sqlite: %s: %w", how, broker.ErrStale)
	}
	err := b.write(ctx, how.String(), func(tx *sqlitedb.Tx) error { return r.settle(tx, how) })
	b.mu.Lock()
	delete(c.outstanding, r)
	if err != nil && !errors.Is(err, broker.ErrStale) {
		b.stranded = append(b.stranded, r)
	}
	c.offer()
	wants := c.demand() > 0
	b.mu.Unlock()
	if wants {
		b.nudge()
	}
	return err
}

func (r receipt) settle(tx *sqlitedb.Tx, how broker.Disposition) error {
	var changed int64
	var err error
	switch how {
	case broker.Reject:
		return die(tx, r, r.deliveries)
	case broker.Requeue:
		tx.Announce(topic)
		changed, err = tx.Exec("UPDATE broker_messages SET lease = 0 WHERE id = ? AND lease = ? AND deliveries = ?", r.id, r.lease, r.deliveries)
	default:
		changed, err = tx.Exec("DELETE FROM broker_messages WHERE id = ? AND lease = ? AND deliveries = ?", r.id, r.lease, r.deliveries)
	}
	if err == nil && changed == 0 {
		return broker.ErrStale
	}
	return err
}

// anyDeliveries is for die: however often the message was handed out.
const anyDeliveries = -1

// die takes the message to the dead letters of its queue, if it has any. It returns ErrStale when the receipt is out of date.
func die(tx *sqlitedb.Tx, r receipt, deliveries int64) error {
	var exchange sql.NullString
	var deadKey, key string
	var properties, body []byte
	err := tx.QueryRow(`SELECT q.dead_exchange, q.dead_key, m.key, m.properties, m.body
		FROM broker_messages m JOIN broker_queues q ON q.id = m.queue
		WHERE m.id = ?1 AND m.lease = ?2 AND ?3 IN (m.deliveries, -1)`, []any{r.id, r.lease, deliveries},
		&exchange, &deadKey, &key, &properties, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return broker.ErrStale
	}
	if err != nil {
		return err
	}
	if exchange.Valid {
		if deadKey != "" {
			key = deadKey
		}
		to := broker.Address{Exchange: exchange.String, RoutingKey: key, Optional: true}
		if err := sendDead(tx, to, properties, body); err != nil {
			return err
		}
	}
	_, err = tx.Exec("DELETE FROM broker_messages WHERE id = ?", r.id)
	return err
}

func sendDead(tx *sqlitedb.Tx, to broker.Address, properties, body []byte) error {
	msg, err := record.Decode(properties)
	if err != nil {
		return err
	}
	msg.Body = body
	msg.Expiration = 0 // as RabbitMQ: it would die of it again
	err = newParcel(to, msg).send(tx)
	if errors.Is(err, broker.ErrUnroutable) {
		return nil // a dead letter for an exchange that does not exist vanishes, as on RabbitMQ
	}
	return err
}

// giving says whether those who get a message next shall know that it was handed out.
type giving string

const (
	counted   giving = "deliveries"     // it was handed out
	uncounted giving = "deliveries - 1" // it was claimed only
)

// giveBack makes messages ready again. Those that are no longer held are left alone.
func (b *Broker) giveBack(ctx context.Context, receipts []receipt, how giving) error {
	if len(receipts) == 0 {
		return nil
	}
	return b.write(ctx, "give back", func(tx *sqlitedb.Tx) error { return giveBack(tx, receipts, how) })
}

func giveBack(tx *sqlitedb.Tx, receipts []receipt, how giving) error {
	for _, r := range receipts {
		_, err := tx.Exec("UPDATE broker_messages SET lease = 0, deliveries = "+string(how)+" WHERE id = ? AND lease = ? AND deliveries = ?",
			r.id, r.lease, r.deliveries)
		if err != nil {
			return err
		}
	}
	if len(receipts) > 0 {
		tx.Announce(topic)
	}
	return nil
}
