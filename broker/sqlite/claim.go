package sqlite

import (
	"cmp"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// claimed is a message that is leased to this session.
type claimed struct {
	receipt
	queue         string
	priority, due int64
	exchange, key string
	properties    []byte
	body          []byte
}

// order is what one consumer wants now, and gets.
type order struct {
	consumer *Consumer
	queues   []subscription
	n        int
	got      []claimed
}

// orders returns what the consumers want. The one that is first now is last the next time, and so are its queues.
func (b *Broker) orders() (session int64, orders []*order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.consumers {
		if n := c.demand(); n > 0 {
			orders = append(orders, &order{consumer: c, queues: slices.Clone(c.queues), n: n})
			c.queues = append(c.queues[1:len(c.queues):len(c.queues)], c.queues[0])
		}
	}
	if len(b.consumers) > 1 {
		b.consumers = append(b.consumers[1:len(b.consumers):len(b.consumers)], b.consumers[0])
	}
	return b.session.id, orders
}

// claim leases what the consumers want, in one transaction, and hands it to them.
func (k *keeper) claim() error {
	session, orders := k.orders()
	promising, err := k.promising(orders)
	if err != nil || len(promising) == 0 {
		return err
	}
	err = k.write(k.ctx, "claim", func(tx *sqlitedb.Tx) error {
		if err := holds(tx, session); err != nil {
			return err
		}
		for _, o := range promising {
			if err := o.claim(tx, session); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errLapsed) {
		k.beat()
		return nil
	}
	if err != nil {
		return err
	}
	return k.hand(session, promising)
}

// promising leaves out the orders that have nothing to get: looking is cheap and lets the others write.
func (k *keeper) promising(orders []*order) ([]*order, error) {
	var some []*order
	for _, o := range orders {
		for _, s := range o.queues {
			var exists bool
			if err := k.peek.QueryRowContext(k.ctx, s.queue).Scan(&exists); err != nil {
				return nil, err
			}
			if exists {
				some = append(some, o)
				break
			}
		}
	}
	return some, nil
}

// claim leases messages in the order in which they became ready: one that was parked stands behind those that came before it was due.
func (o *order) claim(tx *sqlitedb.Tx, session int64) error {
	o.got = nil
	for _, s := range o.queues {
		if len(o.got) == o.n {
			return nil
		}
		from := len(o.got)
		err := tx.Query(func(rows *sql.Rows) error {
			m := claimed{receipt: receipt{lease: session}, queue: s.name}
			err := rows.Scan(&m.id, &m.priority, &m.due, &m.deliveries, &m.exchange, &m.key, &m.properties, &m.body)
			o.got = append(o.got, m)
			return err
		}, `UPDATE broker_messages SET lease = ?, deliveries = deliveries + 1 WHERE id IN (
			SELECT id FROM broker_messages WHERE lease = 0 AND queue = ? AND (expires = 0 OR expires > ?)
			ORDER BY priority DESC, due, id LIMIT ?) RETURNING id, priority, due, deliveries, exchange, key, properties, body`,
			session, s.queue, nowMillis(), o.n-from)
		if err != nil {
			return err
		}
		slices.SortFunc(o.got[from:], func(a, b claimed) int {
			return cmp.Or(-cmp.Compare(a.priority, b.priority), cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id))
		})
	}
	return nil
}

// hand gives the messages to the consumers; what one no longer wants goes back.
func (k *keeper) hand(session int64, orders []*order) error {
	var back []receipt
	k.mu.Lock()
	for _, o := range orders {
		if o.consumer.ended != nil || k.session.id != session {
			for _, m := range o.got {
				back = append(back, m.receipt)
			}
			continue
		}
		o.consumer.buffer = append(o.consumer.buffer, o.got...)
		o.consumer.offer()
	}
	k.mu.Unlock()
	return k.giveBack(k.ctx, back, uncounted)
}

// delivery makes what the consumer sees of the message.
func (c *Consumer) delivery(m claimed) (*broker.Delivery, error) {
	msg, err := record.Decode(m.properties)
	if err != nil {
		return nil, err
	}
	msg.Body = m.body
	d := broker.NewDelivery(msg, c.settler(m.receipt))
	d.Queue, d.Exchange, d.RoutingKey = m.queue, m.exchange, m.key
	d.Count = int(m.deliveries - 1)
	d.Redelivered = d.Count > 0
	return d, nil
}

// fresh reports whether the lease cannot have run out: nobody else can have what is in the buffers. The caller holds mu.
func (b *Broker) fresh() bool { return time.Since(b.session.alive) < b.lease }
