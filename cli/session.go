package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/cli/console"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/worker"
)

// Session is what a command works with.
type Session struct {
	Config *config.Values
	Log    *slog.Logger
	In     io.Reader
	Out    io.Writer // data
	Err    io.Writer // everything else

	program     *program
	command     *cobra.Command
	format      Format
	quiet       bool
	offline     bool // the command connects to nothing
	app         *taskq.App
	cleanups    []func()
	stopSignals func()
}

// session reads the configuration and makes the logger.
func (p *program) session(c Command, cmd *cobra.Command) (*Session, error) {
	if dir := p.globals.workdir; dir != "" {
		if err := os.Chdir(dir); err != nil {
			return nil, Exit(Usage, fmt.Errorf("--workdir: %w", plainPath(err)))
		}
	}
	values, err := p.table.Load(config.Sources{Flags: given(cmd.Flags()), LookupEnv: p.lookupEnv, File: p.globals.configFile})
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"auto", "always", "never"}, p.globals.color) {
		return nil, Exit(Usage, fmt.Errorf("--color: %q is none of auto, always, never", p.globals.color))
	}
	format, err := formatOf(c, cmd)
	if err != nil {
		return nil, err
	}
	s := &Session{
		Config: values, In: cmd.InOrStdin(), Out: &lockedWriter{w: cmd.OutOrStdout()}, Err: &lockedWriter{w: cmd.ErrOrStderr()},
		program: p, command: cmd, format: format, quiet: p.globals.quiet, offline: c.offline, stopSignals: func() {},
	}
	s.Log = slog.New(s.handler(cmd))
	return s, nil
}

func (s *Session) handler(cmd *cobra.Command) slog.Handler {
	level := logLevel(s.Config.Text("log.level"))
	if s.quiet && cmd.Name() != "worker" {
		level = max(level, slog.LevelWarn)
	}
	color := s.program.globals.color
	if s.program.globals.noColor && !cmd.Flags().Changed("color") {
		color = "never"
	}
	opts := console.Options{
		Level: level, Scrub: s.Config.Scrub, Color: console.WantsColor(color, cmd.ErrOrStderr(), s.program.getenv),
	}
	if s.Config.Text("log.format") == "json" {
		return console.NewJSON(s.Err, opts)
	}
	return console.New(s.Err, opts)
}

func logLevel(name string) slog.Level {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug
	case "warning", "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	case "critical", "fatal":
		return slog.LevelError + 4
	}
	return slog.LevelInfo
}

// App returns the application with its tasks registered; it is made on first use and closed after the command.
func (s *Session) App() (*taskq.App, error) { return s.open(taskq.Config{}) }

// open makes the application from the settings and what cfg has besides them.
func (s *Session) open(cfg taskq.Config) (*taskq.App, error) {
	if s.app != nil {
		return s.app, nil
	}
	s.stores(&cfg)
	s.routing(&cfg)
	s.outbox(&cfg)
	s.formats(&cfg)
	cfg.Logger = s.Log
	if cfg.BrokerURL == "" && !s.offline {
		path, err := sqlitedb.DefaultPath()
		if err != nil {
			return nil, Exit(Misconfigured, err)
		}
		s.Log.Info("no broker is configured: using the embedded store", "path", path)
	}
	app, err := taskq.New(cfg)
	if err != nil {
		return nil, Exit(Misconfigured, s.withOrigin(err))
	}
	if err := s.setUp(app); err != nil {
		return nil, err
	}
	s.app = app
	return app, nil
}

// stores are the broker and how it is used, and where outcomes and limits are kept.
func (s *Session) stores(cfg *taskq.Config) {
	cfg.BrokerURL = s.Config.Text("broker_url")
	cfg.ResultBackend = s.Config.Text("result_backend")
	if s.Config.Given("result_expires") { // else the store's own default: a Django site's rows are the site's to delete
		if cfg.ResultExpires = s.Config.Seconds("result_expires"); cfg.ResultExpires == 0 {
			cfg.ResultExpires = -1
		}
	}
	cfg.ResultPersistent = s.Config.On("result_persistent")
	cfg.ResultKeyPrefix = s.Config.Text("result_backend_transport_options.global_keyprefix")
	cfg.LimitStore = s.Config.Text("limit_store")
	cfg.DefaultQueue = s.Config.Text("default_queue")
	cfg.QueueType = broker.QueueType(strings.ToLower(s.Config.Text("queue_type")))
	cfg.InheritPriority = s.Config.On("inherit_priority")
	cfg.ErrbacksOnHeader = s.Config.On("errbacks_on_header")
	cfg.Declare = s.declareMode()
	cfg.Delays = amqp.Delays(strings.ToLower(s.Config.Text("delays")))
	cfg.DeliveryTimeout = s.Config.Seconds("worker.delivery_timeout")
}

// setUp lets the program and its extensions add to the application.
func (s *Session) setUp(app *taskq.App) error {
	if s.program.setup != nil {
		if err := s.program.setup(app); err != nil {
			return err
		}
	}
	for _, e := range s.program.extensions {
		if e.Setup == nil {
			continue
		}
		if err := e.Setup(s, app); err != nil {
			return err
		}
	}
	return nil
}

// withOrigin says where the setting comes from that an application does not take.
func (s *Session) withOrigin(err error) error {
	if e, ok := s.entryOf(err); ok {
		return fmt.Errorf("%w (%s, from %s)", err, e.Path, e.Origin)
	}
	var name string
	switch {
	case strings.Contains(err.Error(), "result backend"):
		name = "result_backend"
	case strings.Contains(err.Error(), "limit store"):
		name = "limit_store"
	case strings.Contains(err.Error(), "broker URL"):
		name = "broker_url"
	case strings.Contains(err.Error(), "outbox URL"):
		name = "outbox_url"
	}
	for _, key := range s.Config.Keys() {
		if strings.Contains(err.Error(), ": "+key.Name+": ") {
			name = key.Name
		}
	}
	if name == "" || !s.Config.Given(name) {
		return err
	}
	return fmt.Errorf("%w (%s)", err, s.Config.Origin(name))
}

// workerOptions are the settings of the worker.
func (s *Session) workerOptions() (worker.Options, error) {
	kind, notice, err := pool.ParseKind(strings.ToLower(s.Config.Text("worker.pool")))
	if err != nil {
		return worker.Options{}, err
	}
	if notice != "" {
		s.Log.Info("pool was mapped", "pool", string(kind), "reason", notice)
	}
	opts := worker.Options{
		Pool:               kind,
		Concurrency:        s.Config.Int("worker.concurrency"),
		PrefetchMultiplier: s.Config.Int("worker.prefetch_multiplier"),
		TimeLimit:          s.Config.Seconds("worker.time_limit"),
		SoftTimeLimit:      s.Config.Seconds("worker.soft_time_limit"),
		ShutdownTimeout:    s.Config.Seconds("worker.shutdown_timeout"),
		DeadLetters:        s.Config.On("worker.dead_letters"),
		DeliveryLimit:      s.Config.Int("worker.delivery_limit"),
		TrackStarted:       s.Config.On("worker.track_started"),
		ResultExtended:     s.Config.On("worker.result_extended"),
		DisableRateLimits:  s.Config.On("worker.disable_rate_limits"),
		Tasks:              s.taskOptions(),
		NoRemoteControl:    !s.Config.On("worker.enable_remote_control"),
		StateDB:            s.Config.Text("worker.state_db"),
		RevokesMax:         s.Config.Int("worker.revokes_max"),
		RevokeExpires:      s.Config.Seconds("worker.revoke_expires"),
		QueueOrder:         worker.QueueOrder(strings.ToLower(s.Config.Text("worker.queue_order"))),
		Direct:             s.Config.On("worker.direct"),
	}
	if err := s.intake(&opts); err != nil {
		return opts, err
	}
	if err := opts.Validate(); err != nil {
		return opts, Exit(Usage, err)
	}
	return opts, nil
}

// intake is what the worker takes, and from which queues.
func (s *Session) intake(opts *worker.Options) (err error) {
	if opts.Batches, err = parseBatches(s.Config.List("worker.batch")); err != nil {
		return Exit(Usage, err) // its text has been checked
	}
	if name := s.Config.Text("worker.hostname"); name != "" {
		opts.Hostname = worker.NodeName(name)
	}
	if opts.ConsumerPriority, err = strconv.Atoi(strings.TrimSpace(s.Config.Text("worker.consumer_priority"))); err != nil {
		return err // it was checked
	}
	if opts.Queues, err = s.queues(); err != nil {
		return err
	}
	opts.Weights, err = s.weights(opts.Queues)
	return err
}

// queues are those that the settings name, or all that they configure, or the default one, without the excluded ones.
func (s *Session) queues() ([]string, error) {
	names, _, err := queueWeights(s.Config.List("worker.queues"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		for _, e := range s.Config.Entries("queues") {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		names = []string{s.Config.Text("default_queue")}
	}
	excluded := s.Config.List("worker.exclude_queues")
	var queues []string
	for _, name := range names {
		if !slices.Contains(excluded, name) && !slices.Contains(queues, name) {
			queues = append(queues, name)
		}
	}
	if len(queues) == 0 {
		return nil, Exit(Usage, errors.New("no queue is left: --exclude-queues names all of them"))
	}
	return queues, nil
}

// closeWait bounds how long a command waits for its connections to close.
const closeWait = 5 * time.Second

// close closes the application. That a broker which is gone cannot be closed is no news.
func (s *Session) close(ctx context.Context) {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
	if s.app == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	if err := s.app.Close(ctx); err != nil {
		s.Log.Debug("connections could not be closed", "error", err)
	}
}

// Cleanup makes f run after the command, before the application is closed; the last one first.
func (s *Session) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// ignoredFlags says once what Celery's flags that mean nothing here would have done.
func (s *Session) ignoredFlags(cmd *cobra.Command) {
	for _, ignored := range [][2]string{
		{"app", "the program is the application"},
		{"optimization", "a task is always given to a free slot"},
		{"without-gossip", "workers here do not gossip"},
		{"without-heartbeat", "workers here send no heartbeat events"},
		{"task-events", "workers here send no task events yet"},
	} {
		if flag := cmd.Flags().Lookup(ignored[0]); flag != nil && flag.Changed {
			s.Log.Info("flag was ignored", "flag", "--"+flag.Name, "reason", ignored[1])
		}
	}
}

// lockedWriter keeps the lines of different goroutines apart.
type lockedWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(data)
}

// WriteString implements io.StringWriter: lines of a log come as such.
func (l *lockedWriter) WriteString(text string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.WriteString(l.w, text)
}
