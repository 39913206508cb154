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

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, topology broker.Topology) error {
	if err := local.CheckTopology(topology); err != nil {
		return fmt.Errorf("sqlite: declare: %w", err)
	}
	for _, q := range topology.Queues {
		if !q.Exclusive || topology.Passive {
			continue
		}
		if err := b.join(ctx); err != nil { // an exclusive queue has an owner
			return fmt.Errorf("sqlite: declare: %w", err)
		}
	}
	return b.write(ctx, "declare", func(tx *sqlitedb.Tx) error { return b.declare(tx, topology) })
}

func (b *Broker) declare(tx *sqlitedb.Tx, t broker.Topology) error {
	for _, x := range t.Exchanges {
		if err := declareExchange(tx, x, t.Passive); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := b.declareQueue(tx, q, t.Passive); err != nil {
			return err
		}
	}
	if t.Passive {
		return nil
	}
	for _, binding := range t.Bindings {
		if err := bind(tx, binding); err != nil {
			return err
		}
	}
	return nil
}

func declareExchange(tx *sqlitedb.Tx, x broker.Exchange, passive bool) error {
	var spec []byte
	err := tx.QueryRow("SELECT spec FROM broker_exchanges WHERE name = ?", []any{x.Name}, &spec)
	if err == nil && !passive {
		existing, err := record.DecodeTable(spec)
		if err != nil {
			return fmt.Errorf("exchange %s: %w", x.Name, err)
		}
		return local.ExchangeClash(x, exchangeOf(existing))
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if passive {
		return fmt.Errorf("exchange %q does not exist: %w", x.Name, broker.ErrUnroutable)
	}
	if err := local.CheckExchange(x); err != nil {
		return err
	}
	spec = record.EncodeTable(broker.Table{
		"kind": string(x.Kind), "transient": x.Transient, "auto_delete": x.AutoDelete, "arguments": x.Arguments,
	})
	_, err = tx.Exec("INSERT INTO broker_exchanges (name, kind, spec) VALUES (?, ?, ?)", x.Name, string(x.Kind), spec)
	return err
}

func exchangeOf(spec broker.Table) broker.Exchange {
	var x broker.Exchange
	kind, _ := spec["kind"].(string)
	x.Kind = broker.ExchangeKind(kind)
	x.Transient, _ = spec["transient"].(bool)
	x.AutoDelete, _ = spec["auto_delete"].(bool)
	x.Arguments, _ = spec["arguments"].(broker.Table)
	return x
}

// queueSpec keeps what two declarations are compared by. Type and MaxPriority are arguments there.
func queueSpec(q broker.Queue) []byte {
	return record.EncodeTable(broker.Table{
		"transient": q.Transient, "auto_delete": q.AutoDelete, "exclusive": q.Exclusive, "arguments": q.WireArguments(),
	})
}

func queueOf(spec broker.Table) broker.Queue {
	var q broker.Queue
	q.Transient, _ = spec["transient"].(bool)
	q.AutoDelete, _ = spec["auto_delete"].(bool)
	q.Exclusive, _ = spec["exclusive"].(bool)
	q.Arguments, _ = spec["arguments"].(broker.Table)
	return q
}

func (b *Broker) declareQueue(tx *sqlitedb.Tx, q broker.Queue, passive bool) error {
	var spec []byte
	found, err := b.findQueue(tx, q.Name, &spec)
	switch {
	case errors.Is(err, broker.ErrNoQueue) && !passive:
		return b.createQueue(tx, q)
	case err != nil || passive:
		return err
	}
	if _, err := tx.Exec("UPDATE broker_queues SET idle_since = ? WHERE id = ? AND idle_since > 0", time.Now().UnixMilli(), found); err != nil {
		return err
	}
	existing, err := record.DecodeTable(spec)
	if err != nil {
		return fmt.Errorf("queue %s: %w", q.Name, err)
	}
	return local.QueueClash(q, queueOf(existing), func() int {
		waiting := -1 // when it cannot be counted
		_ = tx.QueryRow("SELECT count(*) FROM broker_messages WHERE lease = 0 AND queue = ?", []any{found}, &waiting)
		return waiting
	})
}

// findQueue returns the id of a queue that this connection may use.
func (b *Broker) findQueue(tx *sqlitedb.Tx, name string, spec *[]byte) (int64, error) {
	var id int64
	var owner sql.NullInt64
	err := tx.QueryRow("SELECT id, owner, spec FROM broker_queues WHERE name = ?", []any{name}, &id, &owner, spec)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("queue %q: %w", name, broker.ErrNoQueue)
	}
	if err == nil && owner.Valid && owner.Int64 != b.ownerID() {
		return 0, local.Locked(name)
	}
	return id, err
}

func (b *Broker) createQueue(tx *sqlitedb.Tx, q broker.Queue) error {
	rules, err := local.ParseRules(q)
	if err != nil {
		return err
	}
	var owner, ttl, deadExchange any
	if q.Exclusive {
		owner = b.ownerID()
	}
	if rules.TTL >= 0 {
		ttl = rules.TTL.Milliseconds()
	}
	if rules.DeadLetters {
		deadExchange = rules.DeadExchange
	}
	_, err = tx.Exec(`INSERT INTO broker_queues
		(name, spec, owner, auto_delete, max_priority, ttl, dead_exchange, dead_key, idle_for, idle_since)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		q.Name, queueSpec(q), owner, q.AutoDelete, rules.MaxPriority, ttl, deadExchange, rules.DeadKey,
		rules.Expires.Milliseconds(), time.Now().UnixMilli())
	if err == nil && rules.Expires > 0 {
		tx.Announce(topic) // the keepers must know when it expires
	}
	return err
}

func bind(tx *sqlitedb.Tx, binding broker.Binding) error {
	var one int
	err := tx.QueryRow("SELECT 1 FROM broker_exchanges WHERE name = ?", []any{binding.Exchange}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("bind queue %q: exchange %q does not exist: %w", binding.Queue, binding.Exchange, broker.ErrUnroutable)
	}
	if err != nil {
		return err
	}
	var queue int64
	err = tx.QueryRow("SELECT id FROM broker_queues WHERE name = ?", []any{binding.Queue}, &queue)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("bind queue %q: %w", binding.Queue, broker.ErrNoQueue)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT OR IGNORE INTO broker_bindings (exchange, key, queue, arguments) VALUES (?, ?, ?, ?)",
		binding.Exchange, binding.Key, queue, encodeArguments(binding.Arguments))
	return err
}

// encodeArguments writes the arguments of a binding, equal ones alike: it is a part of the binding's key.
func encodeArguments(args broker.Table) []byte {
	if len(args) == 0 {
		return []byte{}
	}
	return record.EncodeTable(args)
}

func decodeArguments(data []byte) (broker.Table, error) {
	if len(data) == 0 {
		return broker.Table{}, nil
	}
	return record.DecodeTable(data)
}

// DeleteQueue implements broker.Deleter.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	return b.write(ctx, "delete queue "+name, func(tx *sqlitedb.Tx) error {
		var spec []byte
		id, err := b.findQueue(tx, name, &spec)
		if errors.Is(err, broker.ErrNoQueue) {
			return nil
		}
		if err != nil {
			return err
		}
		return deleteQueue(tx, id)
	})
}

func deleteQueue(tx *sqlitedb.Tx, id int64) error {
	var exchanges []string
	err := tx.Query(func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		exchanges = append(exchanges, name)
		return err
	}, "SELECT DISTINCT exchange FROM broker_bindings WHERE queue = ?", id)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM broker_bindings WHERE queue = ?",
		"DELETE FROM broker_consumers WHERE queue = ?",
		"DELETE FROM broker_messages WHERE queue = ?",
		"DELETE FROM broker_queues WHERE id = ?",
	} {
		if _, err := tx.Exec(statement, id); err != nil {
			return err
		}
	}
	for _, name := range exchanges {
		if err := dropUnbound(tx, name); err != nil {
			return err
		}
	}
	tx.Announce(topic)
	return nil
}

// dropUnbound deletes an AutoDelete exchange that has lost its last binding.
func dropUnbound(tx *sqlitedb.Tx, exchange string) error {
	var spec []byte
	err := tx.QueryRow(`SELECT spec FROM broker_exchanges WHERE name = ?1
		AND NOT EXISTS (SELECT 1 FROM broker_bindings WHERE exchange = ?1)`, []any{exchange}, &spec)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := record.DecodeTable(spec)
	if err != nil || !exchangeOf(t).AutoDelete {
		return err
	}
	_, err = tx.Exec("DELETE FROM broker_exchanges WHERE name = ?", exchange)
	return err
}
