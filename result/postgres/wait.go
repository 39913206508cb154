package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/task"
)

const (
	readRows  = 1000                   // tasks that are looked up at once
	lookFirst = 100 * time.Millisecond // after somebody began to wait, for what nobody announces
	lookOften = time.Second            // later on
	lookMore  = 10 * time.Second       // later on, when everything is announced
)

// reader is what those who wait share: which tasks shall be looked up.
type reader struct {
	waiting   atomic.Int64  // calls of Wait and Watch under way
	listening atomic.Bool   // announcements arrive
	wake      chan struct{} // one place: there is something to look up

	mu    sync.Mutex // guards the fields below
	ids   map[string]bool
	all   bool // everything that is waited for
	fresh bool // somebody has begun to wait
}

// Wait implements task.Results. One goroutine looks up what is announced, for all who wait; what Python workers write is announced only
// by a trigger, so it also looks now and then. A server that is away does not end a wait.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	if _, err := b.tables(ctx); err != nil {
		return task.Meta{}, b.failed("wait for "+id, err)
	}
	b.reader.waiting.Add(1)
	defer b.reader.waiting.Add(-1)
	return b.waiters.Wait(ctx, id, func() (task.Meta, error) { return b.reader.askFirst(id), nil })
}

// Watch implements task.Results.
func (b *Backend) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	if _, err := b.tables(ctx); err != nil {
		return b.failed("watch "+id, err)
	}
	b.reader.waiting.Add(1)
	defer b.reader.waiting.Add(-1)
	return b.waiters.Watch(ctx, id, func() (task.Meta, error) { return b.reader.askFirst(id), nil }, yield)
}

// askFirst has a task looked up for somebody who begins to wait. What is found is delivered: nothing is known until then.
func (r *reader) askFirst(id string) task.Meta {
	r.mu.Lock()
	r.fresh = true
	r.mu.Unlock()
	r.ask(id)
	return task.Meta{ID: id, State: task.Pending}
}

// ask has tasks looked up; without an id, all that are waited for.
func (r *reader) ask(ids ...string) {
	r.mu.Lock()
	r.all = r.all || len(ids) == 0
	for _, id := range ids {
		if r.ids == nil {
			r.ids = map[string]bool{}
		}
		r.ids[id] = true
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// take returns what was asked for since the last time.
func (r *reader) take() (ids []string, all, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids, all, fresh = slices.Collect(maps.Keys(r.ids)), r.all, r.fresh
	r.ids, r.all, r.fresh = nil, false, false
	return ids, all, fresh
}

// follow looks up and delivers what is asked for until ctx ends, and everything that is waited for at a pace of its own.
func (b *Backend) follow(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var pace pace
	var log faultLog
	for listens := false; ; {
		all := false
		select {
		case <-b.reader.wake:
		case <-timer.C:
			all = true
		case <-ctx.Done():
			return
		}
		ids, everything, fresh := b.reader.take()
		if all = all || everything; all {
			ids = b.waiters.IDs()
		}
		if !listens && fresh {
			listens = true
			b.wg.Go(func() { b.listen(ctx) })
		}
		begin := time.Now()
		err := b.deliver(ctx, ids)
		if ctx.Err() != nil {
			return
		}
		log.note(ctx, b.cfg.Logger, "outcomes could not be read", pgdial.Plain(err))
		next := pace.next(look{begin: begin, end: time.Now(), all: all, fresh: fresh, failed: err != nil, slowest: b.slowest()})
		if b.reader.waiting.Load() == 0 {
			next = time.Hour
		}
		timer.Reset(next)
	}
}

// slowest is how often everything is looked up at least.
func (b *Backend) slowest() time.Duration {
	if l := b.layout.Load(); l != nil && l.pushed && b.reader.listening.Load() {
		return lookMore
	}
	return lookOften
}

// deliver reads outcomes and hands them to those who wait.
func (b *Backend) deliver(ctx context.Context, ids []string) error {
	for some := range slices.Chunk(ids, readRows) {
		found, err := b.read(ctx, some)
		if err != nil {
			return err
		}
		for _, r := range found {
			if meta, err := decode(r, b.cfg.Accept); err != nil {
				b.waiters.Fail(r.id, err)
			} else {
				b.waiters.Deliver(meta)
			}
		}
	}
	return nil
}

// read returns the rows that are there.
func (b *Backend) read(ctx context.Context, ids []string) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	l, err := b.tables(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := b.pool.Query(ctx, l.lookup, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(columns pgx.CollectableRow) (row, error) { return scan(columns) })
}

// pace decides when everything that is waited for is looked up: soon after somebody began to wait, then less and less often, and never
// so that it takes more than a tenth of the time.
type pace struct {
	every   time.Duration
	due     time.Time
	failing bool
}

// look is a round of follow.
type look struct {
	begin, end         time.Time
	all, fresh, failed bool
	slowest            time.Duration
}

// next returns how long to wait until everything is looked up.
func (p *pace) next(l look) time.Duration {
	if l.failed && !p.failing { // soon again, whatever the pace was
		p.every = 0
	}
	p.failing = l.failed
	switch {
	case l.fresh && !l.failed:
		p.every = lookFirst
		if soon := l.end.Add(p.every); p.due.Before(l.end) || soon.Before(p.due) {
			p.due = soon
		}
	case l.all || l.failed || p.due.Before(l.end):
		p.every = min(max(2*p.every, lookFirst), l.slowest)
		p.due = l.end.Add(max(p.every, 10*l.end.Sub(l.begin)))
	}
	return p.due.Sub(l.end)
}
