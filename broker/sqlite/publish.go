package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
	"github.com/seed-399731e2/taskq/internal/record"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// topic is what is announced when a message may be ready.
const topic = "broker"

// Values of lease that are no owner's.
const (
	ready  = 0
	parked = -1
)

// parcel is a message on its way into queues.
type parcel struct {
	to         broker.Address
	priority   uint8
	expiration any // milliseconds; nil: for ever
	due        int64
	lease      int
	headers    broker.Table
	properties []byte
	body       []byte
}

// Publish implements broker.Broker: it returns once the message is committed.
func (b *Broker) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	return b.PublishDelayed(ctx, to, msg, 0)
}

// PublishBatch implements broker.BatchPublisher. Those that are taken are committed together.
func (b *Broker) PublishBatch(ctx context.Context, batch []broker.Posting) []error {
	var errs []error
	err := b.write(ctx, "publish", func(tx *sqlitedb.Tx) (fatal error) {
		errs = local.Each(batch, func(_ int, p broker.Posting) error {
			if fatal != nil {
				return fatal
			}
			err := record.Check(p.To, p.Message)
			if err == nil {
				err = newParcel(p.To, p.Message).send(tx)
				if !errors.Is(err, broker.ErrUnroutable) {
					fatal = err // nothing of the batch is committed
				}
			}
			if err != nil {
				return fmt.Errorf("sqlite: publish: %w", err)
			}
			return nil
		})
		return fatal
	})
	if err == nil {
		return errs
	}
	return local.Each(batch, func(int, broker.Posting) error { return err })
}

// Probe implements broker.Prober.
func (b *Broker) Probe() error {
	if b.isClosed() {
		return fmt.Errorf("sqlite: %w", broker.ErrClosed)
	}
	return nil
}

// PublishDelayed implements broker.Delayer. The message is routed now and parked in its queues.
func (b *Broker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if err := record.Check(to, msg); err != nil {
		return fmt.Errorf("sqlite: publish: %w", err)
	}
	p := newParcel(to, msg)
	if delay > 0 {
		p.lease, p.due = parked, time.Now().Add(delay+time.Millisecond-1).UnixMilli()
	}
	return b.write(ctx, "publish", func(tx *sqlitedb.Tx) error { return p.send(tx) })
}

func newParcel(to broker.Address, msg broker.Message) parcel {
	p := parcel{to: to, priority: msg.Priority, due: time.Now().UnixMilli(), headers: msg.Headers, body: msg.Body}
	if msg.Expiration > 0 {
		msg.Expiration = local.WholeMilliseconds(msg.Expiration)
		p.expiration = msg.Expiration.Milliseconds()
	}
	if p.body == nil {
		p.body = []byte{}
	}
	p.properties = record.Encode(msg)
	return p
}

// send puts the parcel into every queue that takes it.
func (p parcel) send(tx *sqlitedb.Tx) error {
	sent, err := p.route(tx)
	if err != nil {
		return err
	}
	if sent == 0 && !p.to.Optional {
		return fmt.Errorf("exchange %q, routing key %q: %w", p.to.Exchange, p.to.RoutingKey, broker.ErrUnroutable)
	}
	tx.Announce(topic)
	return nil
}

func (p parcel) route(tx *sqlitedb.Tx) (int64, error) {
	if p.to.Exchange == "" {
		return p.insert(tx, "name = ?", p.to.RoutingKey)
	}
	var kind broker.ExchangeKind
	err := tx.QueryRow("SELECT kind FROM broker_exchanges WHERE name = ?", []any{p.to.Exchange}, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("exchange %q does not exist: %w", p.to.Exchange, broker.ErrUnroutable)
	}
	if err != nil {
		return 0, err
	}
	if kind == broker.Direct {
		return p.insert(tx, "id IN (SELECT queue FROM broker_bindings WHERE exchange = ? AND key = ?)", p.to.Exchange, p.to.RoutingKey)
	}
	matching, err := p.match(tx, kind)
	if err != nil {
		return 0, err
	}
	for id := range matching {
		if _, err := p.insert(tx, "id = ?", id); err != nil {
			return 0, err
		}
	}
	return int64(len(matching)), nil
}

// match returns the ids of the queues with a binding that takes the parcel.
func (p parcel) match(tx *sqlitedb.Tx, kind broker.ExchangeKind) (map[int64]bool, error) {
	matching := map[int64]bool{}
	err := tx.Query(func(rows *sql.Rows) error {
		var id int64
		var binding broker.Binding
		var arguments []byte
		err := rows.Scan(&id, &binding.Key, &arguments)
		if err == nil && len(arguments) > 0 {
			binding.Arguments, err = decodeArguments(arguments)
		}
		if err == nil && kind.Takes(binding, p.to.RoutingKey, p.headers) {
			matching[id] = true
		}
		return err
	}, "SELECT queue, key, arguments FROM broker_bindings WHERE exchange = ?", p.to.Exchange)
	return matching, err
}

// insert puts the parcel into the queues of the condition and returns how many there are. The shorter of the queue's and the
// message's time to live counts from the moment when the message becomes visible.
func (p parcel) insert(tx *sqlitedb.Tx, condition string, args ...any) (int64, error) {
	all := append([]any{
		p.priority, p.lease, p.due, p.due, p.expiration, p.expiration, p.to.Exchange, p.to.RoutingKey, p.properties, p.body,
	}, args...)
	return tx.Exec(`INSERT INTO broker_messages (queue, priority, lease, due, expires, exchange, key, properties, body)
		SELECT id, min(?, max_priority), ?, ?, coalesce(? + coalesce(min(ttl, ?), ttl, ?), 0), ?, ?, ?, ?
		FROM broker_queues WHERE `+condition, all...)
}
