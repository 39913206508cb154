package accessrecord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// MiddlewareConfig says how a Middleware sends visits. The zero value works.
type MiddlewareConfig struct {
	// Buffer is how many visits wait to be sent; beyond it visits are dropped. 0 is 1000.
	Buffer int
	// Workers is how many visits are sent at the same time; 0 is 4.
	Workers int
	// SendTimeout bounds one sending; 0 is 5 s.
	SendTimeout time.Duration
	// Skip says which requests are no visits, such as those for images; nil skips none.
	Skip func(*http.Request) bool
	// Collect says how a visit is read from its request.
	Collect []CollectOption
	// Send are options for each sending, such as task.Queue. Results are not stored.
	Send []task.SendOption
	// LogEvery is the least time between two log lines about visits that were lost; 0 is 1 min.
	LogEvery time.Duration
	// Logger; nil discards.
	Logger *slog.Logger
}

// Middleware sends the task for each page that its handlers serve. The response neither waits for the sending nor fails with it.
type Middleware struct {
	cfg     MiddlewareConfig
	sender  task.Sender
	task    *task.Task[Call, string]
	collect *collector
	cancel  context.CancelFunc // ends the sendings
	wg      sync.WaitGroup     // the workers

	mu     sync.RWMutex
	closed bool         // guarded by mu
	queue  chan pending // closed by Close, under mu

	sent, dropped, failed atomic.Uint64
	lost                  lostLog
}

// pending is a visit that waits to be sent, and the address that its source is looked up by.
type pending struct {
	visit Visit
	addr  netip.Addr
}

// MiddlewareStats counts visits since NewMiddleware.
type MiddlewareStats struct {
	Sent    uint64 // the broker has them
	Dropped uint64 // the buffer was full or the middleware closed
	Failed  uint64 // the broker did not take them in time
	Waiting int    // in the buffer now
}

// NewMiddleware returns a middleware that sends through the sender. Close it before the sender.
func NewMiddleware(sender task.Sender, cfg MiddlewareConfig) (*Middleware, error) {
	if sender == nil {
		return nil, errors.New("accessrecord: middleware without a sender")
	}
	if cfg.Buffer < 0 || cfg.Workers < 0 || cfg.SendTimeout < 0 || cfg.LogEvery < 0 {
		return nil, errors.New("accessrecord: a negative number in MiddlewareConfig")
	}
	setDefault(&cfg.Buffer, 1000)
	setDefault(&cfg.Workers, 4)
	setDefault(&cfg.SendTimeout, 5*time.Second)
	setDefault(&cfg.LogEvery, time.Minute)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// Visits outlive the requests that they come from; Close ends this context.
	ctx, cancel := context.WithCancel(context.Background())
	m := &Middleware{
		cfg: cfg, sender: sender, task: Remote(task.IgnoreResult()), collect: newCollector(cfg.Collect),
		cancel: cancel, queue: make(chan pending, cfg.Buffer),
		lost: lostLog{logger: cfg.Logger, every: cfg.LogEvery},
	}
	for range cfg.Workers {
		m.wg.Go(func() { m.work(ctx) })
	}
	return m, nil
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Wrap returns a handler that records the visit and calls next with the very same writer and request.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.cfg.Skip == nil || !m.cfg.Skip(r) {
			visit, addr := m.collect.collect(r)
			m.enqueue(pending{visit: visit, addr: addr})
		}
		next.ServeHTTP(w, r)
	})
}

// enqueue never waits.
func (m *Middleware) enqueue(p pending) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		m.dropped.Add(1)
		m.lost.add(errClosed)
		return
	}
	select {
	case m.queue <- p:
	default:
		m.dropped.Add(1)
		m.lost.add(errFull)
	}
}

var (
	errClosed = errors.New("accessrecord: the middleware is closed")
	errFull   = errors.New("accessrecord: too many visits wait to be sent")
)

func (m *Middleware) work(ctx context.Context) {
	for p := range m.queue {
		if err := m.deliver(ctx, p); err != nil {
			m.failed.Add(1)
			m.lost.add(err)
			continue
		}
		m.sent.Add(1)
	}
}

func (m *Middleware) deliver(ctx context.Context, p pending) (err error) {
	defer func() { // a Locator or a Sender is the user's code, and its panic here would end the whole website
		if v := recover(); v != nil {
			err = fmt.Errorf("accessrecord: send visit: panic: %v", v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, m.cfg.SendTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.collect.locate(&p.visit, p.addr)
	_, err = m.task.Send(ctx, m.sender, Call{Data: p.visit}, m.cfg.Send...)
	return err
}

// Stats counts the visits so far.
func (m *Middleware) Stats() MiddlewareStats {
	return MiddlewareStats{Sent: m.sent.Load(), Dropped: m.dropped.Load(), Failed: m.failed.Load(), Waiting: len(m.queue)}
}

// Close sends the visits that still wait, until ctx ends; it returns an error when some could not be sent by then. Requests that
// come later are served and not recorded.
func (m *Middleware) Close(ctx context.Context) error {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.queue)
	}
	m.mu.Unlock()
	before := m.failed.Load()
	stop := context.AfterFunc(ctx, m.cancel)
	defer stop()
	m.wg.Wait()
	m.cancel()
	m.lost.flush()
	if n := m.failed.Load() - before; n > 0 && ctx.Err() != nil {
		return fmt.Errorf("accessrecord: close middleware: %d visits were not sent: %w", n, context.Cause(ctx))
	}
	return nil
}

// lostLog logs lost visits, at most once per interval.
type lostLog struct {
	logger *slog.Logger
	every  time.Duration

	mu     sync.Mutex
	count  int // since the last line
	reason error
	last   time.Time
}

func (l *lostLog) add(reason error) {
	l.mu.Lock()
	l.count++
	l.reason = reason
	var count int
	if time.Since(l.last) >= l.every {
		count = l.take()
	}
	l.mu.Unlock()
	l.write(count, reason)
}

func (l *lostLog) flush() {
	l.mu.Lock()
	count, reason := l.take(), l.reason
	l.mu.Unlock()
	l.write(count, reason)
}

// take starts the next interval. The caller holds mu.
func (l *lostLog) take() int {
	count := l.count
	l.count, l.last = 0, time.Now()
	return count
}

// write runs without mu: a slow log must not hold up requests.
func (l *lostLog) write(count int, reason error) {
	if count > 0 {
		l.logger.Warn("visits lost", "task", TaskName, "count", count, "error", reason)
	}
}
