package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// journal notes what a worker does to its broker and its result store. It can make both fail from some deed on, as they do when a
// process or a network dies between two of them.
type journal struct {
	mu    sync.Mutex
	deeds []string
	left  int    // deeds that still work; -1: all
	down  string // deeds that start with it fail
}

func (j *journal) do(deed string, try func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left == 0 || j.down != "" && strings.HasPrefix(deed, j.down) {
		return broker.ErrUnavailable
	}
	err := try()
	if err == nil {
		j.deeds = append(j.deeds, deed)
		j.left--
	}
	return err
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.deeds, ", ")
}

// allow says how many more deeds work.
func (j *journal) allow(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.left = n
}

// spare reports whether more deeds were allowed than done.
func (j *journal) spare() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.left > 0
}

func (j *journal) has(deed string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.deeds, deed)
}

// watchBroker puts a journal between a worker and its broker.
func (j *journal) watchBroker(b *mem.Broker) broker.Broker { return watchedBroker{b, j} }

type watchedBroker struct {
	*mem.Broker
	j *journal
}

func publishes(msg broker.Message) string {
	name, _ := msg.Headers["task"].(string)
	return "publish " + name
}

func (b watchedBroker) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	return b.j.do(publishes(msg), func() error { return b.Broker.Publish(ctx, to, msg) })
}

func (b watchedBroker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	return b.j.do(publishes(msg)+" in "+delay.String(), func() error { return b.Broker.PublishDelayed(ctx, to, msg, delay) })
}

func (b watchedBroker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	return watchedConsumer{c, b.j}, err
}

type watchedConsumer struct {
	broker.Consumer
	j *journal
}

func (c watchedConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	if err != nil {
		return nil, err
	}
	watched := broker.NewDelivery(d.Message, func(ctx context.Context, how broker.Disposition) error {
		return c.j.do(how.String(), func() error { return d.Settle(ctx, how) })
	})
	watched.Queue, watched.Exchange, watched.RoutingKey = d.Queue, d.Exchange, d.RoutingKey
	watched.Redelivered, watched.Count, watched.Recovered = d.Redelivered, d.Count, d.Recovered
	return watched, nil
}

// watchedStore puts a journal between a worker and its result store, which outlives the worker.
type watchedStore struct {
	result.Backend
	j *journal
}

func (s watchedStore) Store(ctx context.Context, m task.Meta) error {
	return s.j.do("store "+string(m.State)+" "+m.ID, func() error { return s.Backend.Store(ctx, m) })
}

func (watchedStore) Close(context.Context) error { return nil }

// watchedJoiner is one that counts chords.
type watchedJoiner struct {
	watchedStore
	result.Joiner
}

func (s watchedJoiner) OpenChord(ctx context.Context, header task.Ref) error {
	return s.j.do("open "+header.ID, func() error { return s.Joiner.OpenChord(ctx, header) })
}

func (s watchedJoiner) JoinChord(ctx context.Context, part result.ChordPart) (joined *result.Joined, err error) {
	err = s.j.do("join "+part.ID+" "+string(part.State), func() error {
		joined, err = s.Joiner.JoinChord(ctx, part)
		return err
	})
	return joined, err
}

func (s watchedJoiner) ForgetChord(ctx context.Context, group string) error {
	return s.j.do("forget "+group, func() error { return s.Joiner.ForgetChord(ctx, group) })
}

func (s watchedJoiner) ClaimBody(ctx context.Context, id, claim string) (mine bool, err error) {
	err = s.j.do("claim "+id, func() error {
		mine, err = s.Joiner.ClaimBody(ctx, id, claim)
		return err
	})
	return mine, err
}
