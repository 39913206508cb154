package sqlitedb

import (
	"context"
	"slices"
	"time"
)

const (
	// pollFast is how often a watched file is looked at right after a change, pollSlow when nothing has happened for more than half a
	// second: one look costs some 10 µs and a wake-up, which on a busy machine costs 200 µs more.
	pollFast, pollSlow = 3 * time.Millisecond, 100 * time.Millisecond
	// pollGrowth is by how much the pause grows, in percent.
	pollGrowth = 115
)

// Watch tells of changes to the file.
type Watch struct {
	// C gets a value after each announced write of this process and each write of any kind of another one. Several may come as one.
	C     <-chan struct{}
	c     chan struct{}
	db    *DB
	topic string
}

// Watch starts watching the topic. Stop it when nobody waits any more: a file that is watched is looked at.
func (db *DB) Watch(topic string) *Watch {
	c := make(chan struct{}, 1)
	w := &Watch{C: c, c: c, db: db, topic: topic}
	db.mu.Lock()
	first := len(db.watchers) == 0
	db.watchers[w] = struct{}{}
	db.mu.Unlock()
	if first {
		select {
		case db.writer.poll.start <- struct{}{}:
		default:
		}
	}
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	delete(w.db.watchers, w)
}

func (db *DB) watched() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.watchers) > 0
}

func (db *DB) watching() <-chan struct{} { return db.writer.poll.start }

// wake tells the watchers of the topics.
func (db *DB) wake(topics []string) {
	if len(topics) > 0 {
		db.wakeIf(func(w *Watch) bool { return slices.Contains(topics, w.topic) })
	}
}

func (db *DB) wakeIf(match func(*Watch) bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for w := range db.watchers {
		if match(w) {
			select {
			case w.c <- struct{}{}:
			default: // it has not looked since the last one
			}
		}
	}
}

// poll is the writer's view of what other connections have written. SQLite changes data_version on a connection only by the commits
// of others, so the writer's own do not count.
type poll struct {
	start   chan struct{} // a first watcher has come
	version int64
	pause   time.Duration
	next    time.Time
}

func (p *poll) begin() { p.start, p.pause = make(chan struct{}, 1), pollFast }

// wait returns how long to wait until the next look; false when nobody watches.
func (p *poll) wait(watched bool) (time.Duration, bool) {
	if !watched {
		return 0, false
	}
	if p.next.IsZero() {
		p.next = time.Now().Add(p.pause)
	}
	return max(0, time.Until(p.next)), true
}

// look wakes every watcher when another connection has written.
func (w *writer) look() {
	p := &w.poll
	p.next = time.Time{}
	tx := &Tx{writer: w, ctx: context.WithoutCancel(w.db.ctx)}
	var version int64
	if err := tx.QueryRow("PRAGMA data_version", nil, &version); err != nil {
		p.pause = pollSlow // the next write will tell what is wrong
		return
	}
	if version == p.version {
		p.pause = min(p.pause*pollGrowth/100, pollSlow)
		return
	}
	p.version, p.pause = version, pollFast
	w.db.wakeIf(func(*Watch) bool { return true })
}
