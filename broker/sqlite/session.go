package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// session is the time in which a Broker's lease holds. A Broker that was silent for too long gets a new one; what the old one held
// belongs to others by then.
type session struct {
	id    int64
	lock  *ownerLock
	alive time.Time // when the lease was renewed last; guarded by Broker.mu
}

// errLapsed says that others have declared this session dead. The keeper begins a new one.
var errLapsed = fmt.Errorf("the lease has run out and is being renewed: %w", broker.ErrUnavailable)

// join makes sure that there is a session and a keeper who renews it.
func (b *Broker) join(ctx context.Context) error {
	b.joining.Lock()
	defer b.joining.Unlock()
	b.mu.Lock()
	closed, joined := b.closed, b.session != nil
	b.mu.Unlock()
	if closed {
		return broker.ErrClosed
	}
	if joined {
		return nil
	}
	s, err := b.register(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.session = s
	b.mu.Unlock()
	k := &keeper{Broker: b, watch: b.db.Watch(topic)}
	k.reap(ctx) // what a killed process held comes back as soon as somebody is there to take it
	b.wg.Go(k.run)
	return nil
}

// register makes a session: first the lock, so that whoever sees the row sees it locked.
func (b *Broker) register(ctx context.Context) (*session, error) {
	name := filepath.Base(b.db.Path()) + "-owner-" + rand.Text()
	lock, err := lockOwner(b.ownerPath(name))
	if err != nil {
		return nil, err
	}
	s := &session{lock: lock, alive: time.Now()}
	err = b.write(ctx, "begin a lease", func(tx *sqlitedb.Tx) error {
		return tx.QueryRow("INSERT INTO broker_owners (lock, expires) VALUES (?, ?) RETURNING id",
			[]any{name, s.alive.Add(b.lease).UnixMilli()}, &s.id)
	})
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return s, nil
}

func (b *Broker) ownerPath(name string) string { return filepath.Join(filepath.Dir(b.db.Path()), name) }

// leave gives back what the session holds. The Broker is closed and its keeper gone.
func (b *Broker) leave(ctx context.Context) error {
	b.mu.Lock()
	s := b.session
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	err := b.db.Write(ctx, func(tx *sqlitedb.Tx) error { return bury(tx, s.id) })
	return errors.Join(err, s.lock.release())
}

// ownerID is the session's id, 0 without one.
func (b *Broker) ownerID() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == nil {
		return 0
	}
	return b.session.id
}

// holds makes sure that the session is not declared dead: a lease given to it now would never end.
func holds(tx *sqlitedb.Tx, owner int64) error {
	var one int
	err := tx.QueryRow("SELECT 1 FROM broker_owners WHERE id = ?", []any{owner}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return errLapsed
	}
	return err
}

// bury gives back all that an owner had.
func bury(tx *sqlitedb.Tx, owner int64) error {
	if _, err := tx.Exec("UPDATE broker_messages SET lease = 0 WHERE lease = ? AND lease > 0", owner); err != nil {
		return err
	}
	consumed, err := ids(tx, "SELECT DISTINCT queue FROM broker_consumers WHERE owner = ?", owner)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM broker_consumers WHERE owner = ?", owner); err != nil {
		return err
	}
	for _, queue := range consumed {
		if err := consumersLeft(tx, queue); err != nil {
			return err
		}
	}
	exclusive, err := ids(tx, "SELECT id FROM broker_queues WHERE owner = ?", owner)
	if err != nil {
		return err
	}
	for _, queue := range exclusive {
		if err := deleteQueue(tx, queue); err != nil {
			return err
		}
	}
	tx.Announce(topic)
	_, err = tx.Exec("DELETE FROM broker_owners WHERE id = ?", owner)
	return err
}

// consumersLeft does what is due when the last consumer of a queue has gone.
func consumersLeft(tx *sqlitedb.Tx, queue int64) error {
	var autoDelete bool
	err := tx.QueryRow(`SELECT auto_delete FROM broker_queues
		WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM broker_consumers WHERE queue = ?1)`, []any{queue}, &autoDelete)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case autoDelete:
		return deleteQueue(tx, queue)
	}
	tx.Announce(topic)
	_, err = tx.Exec("UPDATE broker_queues SET idle_since = ? WHERE id = ?", nowMillis(), queue)
	return err
}

func ids(tx *sqlitedb.Tx, query string, args ...any) (all []int64, err error) {
	err = tx.Query(func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		all = append(all, id)
		return err
	}, query, args...)
	return all, err
}

// owner is another Broker's session.
type owner struct {
	id      int64
	lock    string
	expires int64
}

// reap gives back what dead owners held. An owner whose lease has run out counts as dead only when this process has been awake all
// the time: after the machine was suspended, everybody's lease has.
func (k *keeper) reap(ctx context.Context) {
	gap := time.Since(k.beaten)
	steady := !k.beaten.IsZero() && gap < 3*k.beatEvery()
	k.beaten = time.Now()
	owners, err := k.others(ctx)
	if err != nil {
		k.warn(ctx, "other users of the embedded store could not be listed", err)
		return
	}
	for _, o := range owners {
		died := ownerDied(k.ownerPath(o.lock))
		if !died && (!steady || o.expires > nowMillis()) {
			continue
		}
		if err := k.buryOther(ctx, o, died); err != nil {
			k.warn(ctx, "deliveries of a dead process could not be given back", err)
		}
	}
}

func (k *keeper) others(ctx context.Context) ([]owner, error) {
	rows, err := k.db.SQL().QueryContext(ctx, "SELECT id, lock, expires FROM broker_owners WHERE id <> ?", k.ownerID())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var owners []owner
	for rows.Next() {
		var o owner
		if err := rows.Scan(&o.id, &o.lock, &o.expires); err != nil {
			return nil, err
		}
		owners = append(owners, o)
	}
	return owners, rows.Err()
}

func (k *keeper) buryOther(ctx context.Context, o owner, died bool) error {
	buried := false
	err := k.write(ctx, "give back what a dead process held", func(tx *sqlitedb.Tx) error {
		buried = false
		var expires int64
		err := tx.QueryRow("SELECT expires FROM broker_owners WHERE id = ?", []any{o.id}, &expires)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !died && expires > nowMillis() {
			return nil // another one was faster, or it is alive after all
		}
		if err != nil {
			return err
		}
		buried = true
		return bury(tx, o.id)
	})
	if err != nil || !buried {
		return err
	}
	k.log.WarnContext(ctx, "process lost", "broker", "sqlite", "id", o.id)
	if err := os.Remove(k.ownerPath(o.lock)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
