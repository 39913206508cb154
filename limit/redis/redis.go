// Package redis keeps places and turns in Redis. Each call is one script on one key, so that nothing comes in between, and in a cluster
// nothing spans two slots. The time is the server's; from here come only durations.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/internal/redisdial"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/internal/measure"
)

// Config is what a Store is made of.
type Config struct {
	// URL is redis://user:password@host:6379/0, or rediss:// for TLS; the path is the number of the database.
	URL string
	// KeyPrefix comes before every key; "" means DefaultPrefix.
	KeyPrefix string
	// Lazy makes a server that cannot be reached no error of Open: it is tried again when it is needed.
	Lazy   bool
	Logger *slog.Logger // nil: slog.Default
}

// DefaultPrefix comes before every key unless the configuration says otherwise.
const DefaultPrefix = "taskq-limit-"

// What comes between the prefix and the key: the places of a key, a sorted set of owners by the ends of their places, and the time of
// its last turn, a string. Both in µs since 1970.
const (
	placesKey = "places-"
	turnKey   = "turn-"
)

// Store is the store in Redis. Make it with Open.
type Store struct {
	endpoint *redisdial.Endpoint
	prefix   string
	client   rueidis.Client
	scripts  scripts
	life     context.Context //nolint:containedctx // done once the store is closed; connections end with it
	end      context.CancelFunc
}

var _ limit.Store = (*Store)(nil)

// Open connects to the server. It returns an error that wraps broker.ErrInvalid for a bad URL, limit.ErrAccess for refused credentials or
// a database that the server does not have, and limit.ErrUnavailable when the server cannot be reached. Close must be called.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	ep, err := redisdial.ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.KeyPrefix == "" {
		cfg.KeyPrefix = DefaultPrefix
	}
	s := &Store{endpoint: ep, prefix: cfg.KeyPrefix, scripts: newScripts()}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx)) // ended by Close
	stop := context.AfterFunc(ctx, s.end)                          // or the connecting goes on without the caller
	s.client, err = rueidis.NewClient(ep.Options(s.life))
	if !stop() {
		err = ctx.Err()
	}
	if err = s.explain(ctx, err); err == nil || cfg.Lazy && errors.Is(err, limit.ErrUnavailable) {
		if err != nil {
			cfg.Logger.WarnContext(ctx, "limit store is away and is tried again when it is needed", "error", err)
		}
		return s, nil
	}
	return nil, errors.Join(fmt.Errorf("redis: %w", err), s.Close(context.WithoutCancel(ctx)))
}

// Acquire implements limit.Store. It tries once.
func (s *Store) Acquire(ctx context.Context, claim limit.Claim) (limit.Grant, error) {
	claim, err := measure.Claim(claim)
	if err != nil {
		return limit.Grant{}, fmt.Errorf("redis: acquire a place: %w", err)
	}
	answer, err := s.run(ctx, s.scripts.acquire, placesKey+claim.Key, claim.Owner, micros(claim.TTL), strconv.Itoa(claim.Places))
	if err != nil {
		return limit.Grant{}, fmt.Errorf("redis: acquire a place of %q: %w", claim.Key, err)
	}
	grant, err := readGrant(answer)
	if err != nil {
		return limit.Grant{}, fmt.Errorf("redis: acquire a place of %q: answer: %w", claim.Key, err)
	}
	return grant, nil
}

// readGrant reads {1 for held, 1 for fresh, holder}.
func readGrant(message rueidis.RedisMessage) (g limit.Grant, err error) {
	answer, err := message.ToArray()
	if err != nil {
		return g, err
	}
	if len(answer) != 3 {
		return g, fmt.Errorf("%d elements, want 3", len(answer))
	}
	held, err := answer[0].AsInt64()
	if err != nil {
		return g, err
	}
	fresh, err := answer[1].AsInt64()
	if err != nil {
		return g, err
	}
	g.Held, g.Fresh = held == 1, fresh == 1
	g.Holder, err = answer[2].ToString()
	return g, err
}

// Extend implements limit.Store. It tries once.
func (s *Store) Extend(ctx context.Context, key, owner string, ttl time.Duration) error {
	ttl, err := measure.Place(key, owner, ttl)
	if err != nil {
		return fmt.Errorf("redis: extend a place: %w", err)
	}
	answer, err := s.run(ctx, s.scripts.extend, placesKey+key, owner, micros(ttl))
	if err == nil {
		err = lost(answer)
	}
	if err != nil {
		return fmt.Errorf("redis: extend the place of %q: %w", key, err)
	}
	return nil
}

// lost returns limit.ErrLost unless the answer is 1.
func lost(answer rueidis.RedisMessage) error {
	held, err := answer.AsInt64()
	if err == nil && held != 1 {
		return limit.ErrLost
	}
	return err
}

// Release implements limit.Store. It tries once.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	if _, err := measure.Place(key, owner, 1); err != nil {
		return fmt.Errorf("redis: release a place: %w", err)
	}
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("redis: release the place of %q: %w", key, err)
	}
	command := s.client.B().Zrem().Key(s.prefix + placesKey + key).Member(owner).Build()
	if err := s.explain(ctx, s.client.Do(ctx, command).Error()); err != nil {
		return fmt.Errorf("redis: release the place of %q: %w", key, err)
	}
	return nil
}

// Reserve implements limit.Store. It tries once.
func (s *Store) Reserve(ctx context.Context, key string, rate limit.Rate, horizon time.Duration) (time.Duration, error) {
	t, err := measure.NewTurn(key, rate, horizon)
	if err != nil {
		return 0, fmt.Errorf("redis: reserve a turn: %w", err)
	}
	answer, err := s.run(ctx, s.scripts.reserve, turnKey+key, micros(t.Every), micros(t.Slack), micros(t.Horizon))
	if err != nil {
		return 0, fmt.Errorf("redis: reserve a turn of %q: %w", key, err)
	}
	n, err := answer.AsInt64()
	if err != nil {
		return 0, fmt.Errorf("redis: reserve a turn of %q: answer: %w", key, err)
	}
	wait, err := t.Answer(time.Duration(n)*time.Microsecond, horizon)
	if err != nil {
		return 0, fmt.Errorf("redis: reserve a turn of %q: %w", key, err)
	}
	return wait, nil
}

// run runs a script on a key. All that it says of time are durations.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, key string, args ...string) (rueidis.RedisMessage, error) {
	if err := s.ready(ctx); err != nil {
		return rueidis.RedisMessage{}, err
	}
	answer, err := script.Exec(ctx, s.client, []string{s.prefix + key}, args).ToMessage()
	return answer, s.explain(ctx, err)
}

func micros(d time.Duration) string { return strconv.FormatInt(measure.Micros(d), 10) }
