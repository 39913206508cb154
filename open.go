package taskq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/broker/sqlite"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/postgres"
	resultredis "github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/result/rpc"
	resultsqlite "github.com/seed-399731e2/taskq/result/sqlite"
)

// The schemes of broker and result URLs.
const (
	schemeAMQP     = "amqp"
	schemeAMQPS    = "amqps"
	schemeSQLite   = "sqlite"
	schemeMemory   = "memory"
	schemeRPC      = "rpc"
	schemeRedis    = "redis"
	schemeRediss   = "rediss"
	schemePostgres = "postgres"
	schemeDisabled = "disabled"
)

// scheme returns the scheme of a URL, without ever showing the rest, which may hold a password.
func scheme(url string) string {
	s, rest, ok := strings.Cut(url, ":")
	if !ok || strings.Contains(s, ".") || rest != "" && !strings.HasPrefix(rest, "//") && s != schemeSQLite {
		return "" // a host and a port
	}
	return strings.ToLower(s)
}

// checkURLs fills in the defaults and refuses what no room here speaks.
func checkURLs(cfg *Config) error {
	if cfg.Broker != nil {
		return checkGiven(cfg)
	}
	if cfg.BrokerURL == "" {
		cfg.BrokerURL = schemeSQLite + ":"
	}
	transport := scheme(cfg.BrokerURL)
	switch transport {
	case schemeAMQP, schemeAMQPS, schemeSQLite, schemeMemory:
	case "pyamqp", "librabbitmq": // Celery's other names for AMQP
		cfg.BrokerURL = schemeAMQP + cfg.BrokerURL[len(transport):]
		transport = schemeAMQP
	case "":
		return fmt.Errorf("taskq: broker URL without a scheme: %w: use amqp://user:password@host:5672/vhost, or sqlite:///path", broker.ErrInvalid)
	default:
		return fmt.Errorf("taskq: broker URL with the scheme %q: %w: use amqp://, amqps://, sqlite:/// or memory://", transport, broker.ErrInvalid)
	}
	if cfg.ResultBackend == "" {
		cfg.ResultBackend = defaultResults(transport)
	}
	return checkResults(cfg)
}

// checkGiven is checkURLs with a broker that is open already.
func checkGiven(cfg *Config) error {
	if cfg.BrokerURL != "" {
		return fmt.Errorf("taskq: Broker and BrokerURL are both given: %w: give one of them", broker.ErrInvalid)
	}
	if cfg.ResultBackend == "" {
		cfg.ResultBackend = defaultResults("")
	}
	return checkResults(cfg)
}

// checkResults refuses result stores that no room here speaks, with what to use instead.
func checkResults(cfg *Config) error {
	if cfg.Results != nil {
		return nil
	}
	s := scheme(cfg.ResultBackend)
	switch {
	case s == schemeRPC, s == schemeSQLite, s == schemeMemory, s == schemeDisabled, s == schemePostgres:
	case s == schemeRedis, s == schemeRediss:
		if err := resultredis.CheckURL(cfg.ResultBackend); err != nil {
			return fmt.Errorf("taskq: result backend: %w", err)
		}
	case s == "postgresql":
		cfg.ResultBackend = schemePostgres + cfg.ResultBackend[len(s):]
	case cfg.ResultBackend == "django-db":
		return fmt.Errorf("taskq: result backend django-db: %w: give the URL of the Django site's database, postgres://user:password@host/name", broker.ErrInvalid)
	case strings.HasPrefix(s, "db+"):
		return fmt.Errorf("taskq: result backend with the scheme %q: %w: those tables hold pickles, which only Python can read; use rpc://, or postgres:// "+
			"with django-celery-results (django-db) in Python", s, broker.ErrInvalid)
	case s == "":
		return fmt.Errorf("taskq: result backend without a scheme: %w: use rpc://, redis://host:6379/0 or postgres://user@host/name", broker.ErrInvalid)
	case s == "amqp":
		return fmt.Errorf("taskq: result backend with the scheme %q: %w: over RabbitMQ, use rpc://", s, broker.ErrInvalid)
	default:
		return fmt.Errorf("taskq: result backend with the scheme %q: %w: use rpc://, redis://, postgres://, sqlite:///, memory:// or disabled://", s, broker.ErrInvalid)
	}
	return nil
}

func defaultResults(transport string) string {
	switch transport {
	case schemeSQLite:
		return schemeSQLite + ":"
	case schemeMemory:
		return schemeMemory + ":"
	}
	return schemeRPC + ":"
}

// connection is what an application has opened.
type connection struct {
	broker  broker.Broker
	results result.Backend // nil: disabled
	store   *sqlitedb.DB   // the broker's embedded store; nil without
	other   *sqlitedb.DB   // that of the results, when it is another file
	limits  limits
}

func open(ctx context.Context, cfg Config, accept codec.Set) (*connection, error) {
	c := &connection{limits: limits{opening: make(chan struct{}, 1)}}
	err := c.openBroker(ctx, cfg)
	if err == nil {
		err = c.openResults(ctx, cfg, accept)
	}
	if err != nil {
		return nil, errors.Join(err, c.close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *connection) openBroker(ctx context.Context, cfg Config) (err error) {
	if c.broker = cfg.Broker; c.broker != nil {
		return nil
	}
	switch scheme(cfg.BrokerURL) {
	case schemeMemory:
		c.broker = mem.NewServer().Open()
		return nil
	case schemeSQLite:
		if c.store, err = openStore(ctx, cfg.BrokerURL, cfg.Logger); err != nil {
			return err
		}
		b, err := sqlite.Open(ctx, sqlite.Config{DB: c.store, Logger: cfg.Logger})
		if err != nil {
			return err
		}
		c.broker = b
		return nil
	}
	options := amqp.Config{
		URL: cfg.BrokerURL, Declare: cfg.Declare, Delays: cfg.Delays, DeliveryTimeout: cfg.DeliveryTimeout, Logger: cfg.Logger,
	}
	b, err := amqp.Open(ctx, options)
	if cfg.WaitForBroker && errors.Is(err, broker.ErrUnavailable) {
		options.Lazy = true
		b, err = amqp.Open(ctx, options)
	}
	if err != nil {
		return err
	}
	c.broker = b
	return nil
}

func (c *connection) openResults(ctx context.Context, cfg Config, accept codec.Set) (err error) {
	if c.results = cfg.Results; c.results != nil {
		return nil
	}
	switch scheme(cfg.ResultBackend) {
	case schemeMemory:
		c.results = resultmem.New(resultmem.Config{Expires: cfg.ResultExpires})
	case schemeRPC:
		c.results = rpc.New(rpc.Config{Broker: c.broker, Accept: accept, Limits: cfg.Limits, Persistent: cfg.ResultPersistent, Logger: cfg.Logger})
	case schemeRedis, schemeRediss:
		results, err := resultredis.Open(ctx, resultredis.Config{
			URL: cfg.ResultBackend, Expires: cfg.ResultExpires, KeyPrefix: cfg.ResultKeyPrefix, Lazy: cfg.WaitForBroker, Logger: cfg.Logger,
		})
		if err != nil {
			return err
		}
		c.results = results
	case schemePostgres:
		results, err := postgres.Open(ctx, postgres.Config{URL: cfg.ResultBackend, Expires: cfg.ResultExpires, Accept: accept, Logger: cfg.Logger})
		if err != nil {
			return err
		}
		c.results = results
	case schemeSQLite:
		db := c.store
		if db == nil || strings.TrimPrefix(cfg.ResultBackend, schemeSQLite+":") != "" && cfg.ResultBackend != cfg.BrokerURL {
			if db, err = openStore(ctx, cfg.ResultBackend, cfg.Logger); err != nil {
				return err
			}
			c.other = db
		}
		results, err := resultsqlite.Open(ctx, resultsqlite.Config{DB: db, Expires: cfg.ResultExpires, Accept: accept, Logger: cfg.Logger})
		if err != nil {
			return err
		}
		c.results = results
	}
	return nil
}

func openStore(ctx context.Context, url string, log *slog.Logger) (*sqlitedb.DB, error) {
	path, err := sqlitedb.ParseURL(url)
	if err != nil {
		return nil, err
	}
	db, err := sqlitedb.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	log.DebugContext(ctx, "embedded store opened", "path", db.Path())
	return db, nil
}

// close closes what is open, in the order of use.
func (c *connection) close(ctx context.Context) error {
	errs := []error{c.limits.close(ctx)}
	if c.results != nil {
		errs = append(errs, c.results.Close(ctx))
	}
	if c.broker != nil {
		errs = append(errs, c.broker.Close(ctx))
	}
	for _, db := range []*sqlitedb.DB{c.other, c.store} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
