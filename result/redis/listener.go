package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// chunk bounds how many keys one command names.
const chunk = 500

// listener is the subscription that serves all who wait. What is asked of it meanwhile goes into its next round.
type listener struct {
	b    *Backend
	wg   sync.WaitGroup
	wake chan struct{} // one place: there is work

	mu       sync.Mutex // guards the fields below
	running  bool
	channels map[string]*channel // by task id
	changed  []string            // ids that may have to be subscribed to, or not any more
	unread   []string            // ids whose outcome has to be looked up
}

// channel is one task's.
type channel struct {
	wanted int  // who waits and watches
	asked  bool // SUBSCRIBE was sent on this connection
	heard  bool // and confirmed: what is published from now on arrives
}

func (l *listener) init(b *Backend) {
	l.b, l.wake, l.channels = b, make(chan struct{}, 1), map[string]*channel{}
}

// want has the states of a task delivered, the present one first, until leave is called.
func (l *listener) want(id string) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[id]
	if c == nil {
		c = &channel{}
		l.channels[id] = c
	}
	c.wanted++
	switch {
	case c.heard:
		l.unread = append(l.unread, id)
	case !c.asked:
		l.changed = append(l.changed, id)
	}
	l.rouse()
	if !l.running && l.b.life.Err() == nil {
		l.running = true
		l.wg.Go(func() { l.run(l.b.life) })
	}
	return func() { l.leave(id, c) }
}

func (l *listener) leave(id string, c *channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.wanted--; c.wanted == 0 {
		l.changed = append(l.changed, id)
		l.rouse()
	}
}

func (l *listener) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// wait returns once nothing runs any more; the store is closed.
func (l *listener) wait() {
	l.mu.Lock() // after this nothing is started
	running := l.running
	l.mu.Unlock()
	if running {
		l.wg.Wait()
	}
}

// run keeps the subscription alive until the store is closed.
func (l *listener) run(ctx context.Context) {
	for pause := pauseFirst; ctx.Err() == nil; pause = min(2*pause, pauseMax) {
		began := time.Now()
		err := l.b.explain(ctx, l.session(ctx))
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > pauseMax {
			pause = pauseFirst
		}
		level := slog.LevelDebug
		if pause == pauseFirst {
			level = slog.LevelWarn // once for each outage
		}
		if err != nil && !errors.Is(err, result.ErrUnavailable) {
			l.fail(err)
		}
		l.b.log.Log(ctx, level, "subscription to outcomes was lost", "error", err, "retry_in", pause.Seconds())
		l.b.pause(ctx, pause)
	}
}

// fail ends all waits: the server is there and refuses.
func (l *listener) fail(err error) {
	l.mu.Lock()
	ids := slices.Collect(maps.Keys(l.channels))
	l.mu.Unlock()
	for _, id := range ids {
		l.b.waiters.Fail(id, fmt.Errorf("redis: wait for %s: %w", id, err))
	}
}

// session subscribes, on a connection of its own, to everything that is wanted until the connection is lost.
func (l *listener) session(ctx context.Context) error {
	conn, release := l.b.client.Dedicate()
	defer release()
	defer conn.Close()
	l.reset()
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: l.message, OnSubscription: l.confirm})
	for {
		subscribe, unsubscribe, read := l.work()
		if err := l.apply(ctx, conn, subscribe, unsubscribe); err != nil {
			return err
		}
		if err := l.look(ctx, read); err != nil {
			return err // the next session looks again
		}
		select {
		case <-l.wake:
		case err := <-lost:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset makes everything that is wanted the work of a new connection.
func (l *listener) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range l.channels {
		c.asked, c.heard = false, false
		l.changed = append(l.changed, id)
	}
}

// work takes what there is to do: tasks to subscribe to, to unsubscribe from, and to look up.
func (l *listener) work() (subscribe, unsubscribe, read []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.changed {
		c := l.channels[id]
		switch {
		case c == nil: // it was dealt with
		case c.wanted > 0 && !c.asked:
			c.asked = true
			subscribe = append(subscribe, l.b.taskKey(id))
		case c.wanted == 0:
			delete(l.channels, id)
			if c.asked {
				unsubscribe = append(unsubscribe, l.b.taskKey(id))
			}
		}
	}
	read = l.unread
	l.changed, l.unread = nil, nil
	return subscribe, unsubscribe, read
}

// apply sends the changes; those to unsubscribe from are others than those to subscribe to, so that the order does not matter.
func (l *listener) apply(ctx context.Context, conn rueidis.DedicatedClient, subscribe, unsubscribe []string) error {
	for keys := range chunks(unsubscribe) {
		if err := conn.Do(ctx, conn.B().Unsubscribe().Channel(keys...).Build()).Error(); err != nil {
			return err
		}
	}
	for keys := range chunks(subscribe) {
		if err := conn.Do(ctx, conn.B().Subscribe().Channel(keys...).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

// confirm notes that a channel is subscribed to: from now on nothing is missed, and what came before is to be looked up. It is
// called on the connection's goroutine.
func (l *listener) confirm(s rueidis.PubSubSubscription) {
	id, ok := l.id(s.Channel)
	if s.Kind != "subscribe" || !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.channels[id]; c != nil && c.asked {
		c.heard = true
		l.unread = append(l.unread, id)
		l.rouse()
	}
}

// message hands on what was published. It is called on the connection's goroutine.
func (l *listener) message(m rueidis.PubSubMessage) {
	if id, ok := l.id(m.Channel); ok {
		l.deliver(id, []byte(m.Message))
	}
}

func (l *listener) id(key string) (string, bool) {
	start := len(l.b.prefix + taskPrefix)
	if len(key) < start {
		return "", false
	}
	return key[start:], true
}

func (l *listener) deliver(id string, doc []byte) {
	meta, err := decode(id, doc)
	switch {
	case err != nil:
		l.b.waiters.Fail(id, err)
	case meta.State != task.Pending:
		l.b.waiters.Deliver(meta)
	}
}

// look reads the outcomes of tasks and delivers those that there are.
func (l *listener) look(ctx context.Context, ids []string) error {
	for ids := range chunks(ids) {
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = l.b.taskKey(id)
		}
		docs, err := l.b.client.Do(ctx, l.b.client.B().Mget().Key(keys...).Build()).ToArray()
		if err != nil {
			return err
		}
		if len(docs) != len(ids) {
			return fmt.Errorf("%d values for %d keys", len(docs), len(ids))
		}
		for i, id := range ids {
			doc, err := docs[i].AsBytes()
			if err == nil {
				l.deliver(id, doc)
			} else if !rueidis.IsRedisNil(err) {
				return err
			}
		}
	}
	return nil
}
