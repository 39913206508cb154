// Package redis keeps outcomes in Redis under Celery's keys and in its order of commands, so that Python's clients and workers and those
// here read what the others wrote (celery/backends/redis.py).
//
// It waits by push: one subscription serves any number of waiters. The value is always stored before it is published, so that whoever
// subscribes and then looks misses nothing.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/internal/redisdial"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/waiters"
	"github.com/seed-399731e2/taskq/task"
)

// Config is what a Backend is made of.
type Config struct {
	// URL is redis://user:password@host:6379/0, or rediss:// for TLS; the path is the number of the database.
	URL string
	// Expires is how long an outcome is kept, in whole seconds, rounded up; 0 means a day, Celery's result_expires; negative means for
	// ever.
	Expires time.Duration
	// KeyPrefix comes before every key (Celery's global_keyprefix); a "_" follows it unless it ends in one of ":_-.".
	KeyPrefix string
	// Lazy makes a server that cannot be reached no error of Open: it is tried again when it is needed.
	Lazy   bool
	Logger *slog.Logger // nil: slog.Default
}

// The names of keys (celery/backends/base.py, BaseKeyValueStoreBackend).
const (
	taskPrefix  = "celery-task-meta-"
	groupPrefix = "celery-taskset-meta-"
)

// maxValue is the longest string that Redis takes, in bytes. It closes the connection of whoever sends more.
const maxValue = 512 << 20

// guarded stores and publishes an outcome unless a SUCCESS is there. Celery looks first (GET) and then writes (MULTI, SETEX, PUBLISH,
// EXEC), so that a SUCCESS which comes in between is lost; in a script nothing comes in between, and the keys and the messages are
// the same. WATCH would do as well, but takes a connection for itself, three trips for each outcome. The JSON that Celery and this package
// write begins with the status; reading it whole costs as much again, and cjson does not read it when it nests too deep.
const guarded = `
local old = redis.call('GET', KEYS[1])
if old then
	local status = string.match(old, '^{"status": ?"([^"\\]*)"')
	if not status then
		local ok, meta = pcall(cjson.decode, old)
		if not ok then ok, meta = pcall(cmsgpack.unpack, old) end
		status = ok and type(meta) == 'table' and meta.status
	end
	if status == 'SUCCESS' then return 0 end
end
if ARGV[2] == '0' then
	redis.call('SET', KEYS[1], ARGV[1])
else
	redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1`

// Backend is the result store in Redis. Make it with Open.
type Backend struct {
	endpoint *redisdial.Endpoint
	prefix   string
	expires  int64 // seconds; 0: for ever
	log      *slog.Logger
	client   rueidis.Client
	store    *rueidis.Lua
	scripts  scripts
	waiters  waiters.Set
	listener listener
	life     context.Context // done once the store is closed
	end      context.CancelFunc
}

var (
	_ result.Backend    = (*Backend)(nil)
	_ result.GroupStore = (*Backend)(nil)
	_ result.Joiner     = (*Backend)(nil)
)

// CheckURL returns what Open returns for a bad URL, without connecting.
func CheckURL(url string) error {
	_, err := redisdial.ParseURL(url)
	return err
}

// Open connects to the server. It returns an error that wraps broker.ErrInvalid for a bad URL, result.ErrAccess for refused credentials
// or a database that the server does not have, and result.ErrUnavailable when the server cannot be reached.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	ep, err := redisdial.ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	b := &Backend{
		endpoint: ep, prefix: KeyPrefix(cfg.KeyPrefix), expires: seconds(cfg.Expires),
		log: cfg.Logger, store: rueidis.NewLuaScript(guarded), scripts: newScripts(),
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx)) // ended by Close
	b.listener.init(b)
	stop := context.AfterFunc(ctx, b.end) // or the connecting goes on without the caller
	b.client, err = rueidis.NewClient(b.endpoint.Options(b.life))
	if !stop() {
		err = ctx.Err()
	}
	if err = b.explain(ctx, err); err == nil || cfg.Lazy && errors.Is(err, result.ErrUnavailable) {
		if err != nil {
			b.log.WarnContext(ctx, "result store is away and is tried again when it is needed", "error", err)
		}
		return b, nil
	}
	return nil, errors.Join(fmt.Errorf("redis: %w", err), b.Close(ctx))
}

// KeyPrefix is Celery's global_keyprefix with the separator that it adds.
func KeyPrefix(prefix string) string {
	if prefix == "" || strings.ContainsAny(prefix[len(prefix)-1:], ":_-.") {
		return prefix
	}
	return prefix + "_"
}

func seconds(expires time.Duration) int64 {
	switch {
	case expires == 0:
		return int64((24 * time.Hour).Seconds())
	case expires < 0:
		return 0
	}
	return int64((expires + time.Second - 1) / time.Second)
}

func (b *Backend) taskKey(id string) string { return b.prefix + taskPrefix + id }

func (b *Backend) groupKey(id string) string { return b.prefix + groupPrefix + id }

// Store implements result.Backend. It tries once: a worker that has to wait says so and tries again.
func (b *Backend) Store(ctx context.Context, meta task.Meta) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	doc, err := wire.EncodeResult(meta, nil)
	if err != nil {
		return fmt.Errorf("redis: %w: %w", result.ErrInvalid, err)
	}
	if len(doc) > maxValue {
		return fmt.Errorf("redis: store the outcome of %s: %w: it has %d bytes, and Redis keeps %d", meta.ID, result.ErrInvalid, len(doc), maxValue)
	}
	args := []string{string(doc), strconv.FormatInt(b.expires, 10)}
	if err := b.explain(ctx, b.store.Exec(ctx, b.client, []string{b.taskKey(meta.ID)}, args).Error()); err != nil {
		return fmt.Errorf("redis: store the outcome of %s: %w", meta.ID, err)
	}
	return nil
}

// Get implements task.Results. While the server is away it waits until ctx ends.
func (b *Backend) Get(ctx context.Context, id string) (task.Meta, error) {
	doc, err := b.get(ctx, b.taskKey(id))
	if err != nil {
		return task.Meta{}, fmt.Errorf("redis: look up %s: %w", id, err)
	}
	return decode(id, doc)
}

// get returns nil when the key does not exist.
func (b *Backend) get(ctx context.Context, key string) (value []byte, err error) {
	err = b.retry(ctx, func() error {
		value, err = b.client.Do(ctx, b.client.B().Get().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			value, err = nil, nil
		}
		return err
	})
	return value, err
}

// decode reads an outcome; nothing is a task that nothing is known of.
func decode(id string, doc []byte) (task.Meta, error) {
	if len(doc) == 0 {
		return task.Meta{ID: id, State: task.Pending}, nil
	}
	meta, err := wire.DecodeResult(doc, nil)
	if err != nil {
		return task.Meta{}, fmt.Errorf("redis: outcome of %s: %w; in Redis only JSON is read: leave result_serializer at 'json' in Python", id, err)
	}
	meta.ID, meta.Codec = id, nil
	return meta, nil
}

// Forget implements task.Results. While the server is away it waits until ctx ends.
func (b *Backend) Forget(ctx context.Context, id string) error {
	if err := b.del(ctx, b.taskKey(id)); err != nil {
		return fmt.Errorf("redis: forget %s: %w", id, err)
	}
	return nil
}

func (b *Backend) del(ctx context.Context, keys ...string) error {
	return b.retry(ctx, func() error { return b.client.Do(ctx, b.client.B().Del().Key(keys...).Build()).Error() })
}

// Close implements result.Backend. What is under way then fails.
func (b *Backend) Close(ctx context.Context) error {
	b.waiters.Close(fmt.Errorf("redis: %w", result.ErrClosed))
	b.end()
	closed := make(chan struct{})
	go func() { // ends soon: the connections are cut
		defer close(closed)
		if b.client != nil {
			b.client.Close()
		}
		b.listener.wait()
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis: close: %w", ctx.Err())
	}
}
