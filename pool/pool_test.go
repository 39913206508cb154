package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func kinds() []pool.Kind { return []pool.Kind{pool.Solo, pool.Threads, pool.Goroutines} }

// sizeOf is n, or 1 where there is only one slot.
func sizeOf(kind pool.Kind, n int) int {
	if kind == pool.Solo {
		return 1
	}
	return n
}

// trial is a test in one kind of pool.
type trial struct {
	*testing.T
	kind pool.Kind
}

// eachKind runs a test once per pool.
func eachKind(t *testing.T, test func(t trial)) {
	t.Helper()
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(trial{t, kind})
		})
	}
}

// newPool starts a pool that is stopped, and must have nothing left, when the test ends.
func newPool(tb testing.TB, kind pool.Kind, cfg pool.Config) pool.Pool {
	tb.Helper()
	p, err := pool.New(kind, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, p) })
	return p
}

func stop(tb testing.TB, p pool.Pool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

// run submits a job and waits until it has returned (or panicked).
func run(tb testing.TB, p pool.Pool, job pool.Job) {
	tb.Helper()
	wait(tb, start(tb, p, job))
}

// start submits a job; the channel is closed when it has returned.
func start(tb testing.TB, p pool.Pool, job pool.Job) <-chan struct{} {
	tb.Helper()
	done := make(chan struct{})
	err := p.Submit(tb.Context(), func(ctx context.Context) {
		defer close(done)
		job(ctx)
	})
	if err != nil {
		tb.Fatalf("submit: %v", err)
	}
	return done
}

func wait(tb testing.TB, done <-chan struct{}) {
	tb.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		tb.Fatal("waited 20 s for nothing")
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within 20 s: %s", what)
		}
	}
}

// goroutine is the number of the caller's goroutine.
func goroutine() string {
	return strings.Fields(string(stack()))[1]
}

func stack() []byte {
	buf := make([]byte, 64)
	return buf[:runtime.Stack(buf, false)]
}

// logBook is a logger whose lines can be looked at.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func TestKindsByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want, notice, err string
	}{
		{name: "solo", want: "solo"},
		{name: "threads", want: "threads"},
		{name: "goroutines", want: "goroutines"},
		{name: "gevent", want: "goroutines", notice: `"gevent" is run as "goroutines"`},
		{name: "eventlet", want: "goroutines", notice: `"eventlet" is run as "goroutines"`},
		{name: "prefork", err: "use threads (a thread for each slot), goroutines (many slots) or solo (one slot)"},
		{name: "processes", err: "use threads"},
		{name: "", err: "the pools are solo, threads and goroutines"},
		{name: "Solo", err: "the pools are solo, threads and goroutines"},
	} {
		kind, notice, err := pool.ParseKind(c.name)
		if string(kind) != c.want || !strings.Contains(notice, c.notice) || (c.notice == "") != (notice == "") {
			t.Errorf("ParseKind(%q) = %q, %q, want %q, %q", c.name, kind, notice, c.want, c.notice)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("ParseKind(%q): error %v, want %q", c.name, err, c.err)
		}
	}
}

func TestSizesThatAPoolCannotHaveAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind pool.Kind
		size int
	}{
		{pool.Solo, 2}, {pool.Solo, -1}, {pool.Threads, 0}, {pool.Goroutines, -3}, {"prefork", 1}, {"gevent", 1}, {"", 1},
	} {
		if p, err := pool.New(c.kind, pool.Config{Size: c.size}); err == nil {
			t.Errorf("New(%q, %d) was not refused", c.kind, c.size)
			stop(t, p)
		}
	}
	p := newPool(t, pool.Solo, pool.Config{})
	if got := p.Stats().Size; got != 1 {
		t.Errorf("solo has %d slots, want 1", got)
	}
	if err := p.Resize(2); err == nil || !strings.Contains(err.Error(), "one after another") {
		t.Errorf("Resize(2) of solo = %v, want a reason", err)
	}
}

func TestJobsRunOnAllSlots(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		n := sizeOf(t.kind, 5)
		p := newPool(t, t.kind, pool.Config{Size: n})
		release := make(chan struct{})
		ids := make(chan int, n)
		for range n {
			start(t, p, func(ctx context.Context) {
				ids <- pool.SlotFrom(ctx).ID()
				<-release
			})
		}
		seen := map[int]bool{}
		for range n {
			seen[<-ids] = true
		}
		if len(seen) != n {
			t.Errorf("%d jobs ran at once on %d slots", n, len(seen))
		}
		if st := p.Stats(); st.Busy != n || st.Idle != 0 || st.Started != uint64(n) || st.Done != 0 {
			t.Errorf("stats = %+v, want all busy", st)
		}
		close(release)
		eventually(t, "all idle", func() bool { st := p.Stats(); return st.Idle == n && st.Done == uint64(n) })
	})
}

func TestSubmitWaitsForAFreeSlot(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		p := newPool(t, t.kind, pool.Config{Size: 1})
		release := make(chan struct{})
		done := start(t, p, func(context.Context) { <-release })
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		result := make(chan error)
		go func() { result <- p.Submit(ctx, func(context.Context) { t.Error("the job ran") }) }()
		select {
		case err := <-result:
			t.Fatalf("Submit = %v while the only slot was busy", err)
		default:
		}
		cancel(reason)
		if err := <-result; !errors.Is(err, reason) {
			t.Errorf("Submit = %v, want the cause of its context", err)
		}
		close(release)
		wait(t, done)
		if err := p.Submit(ctx, func(context.Context) { t.Error("the job ran") }); !errors.Is(err, reason) {
			t.Errorf("Submit with a dead context = %v, want its cause, though a slot is free", err)
		}
	})
}

func TestSubmitRefusesNil(t *testing.T) {
	t.Parallel()
	p := newPool(t, pool.Solo, pool.Config{})
	if err := p.Submit(t.Context(), nil); err == nil {
		t.Error("a nil job was taken")
	}
}

func TestAPanicDoesNotEndTheSlot(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		var book logBook
		var h recorder
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{&h}, Logger: book.logger()})
		run(t, p, func(context.Context) { panic("boom") })
		var id int
		run(t, p, func(ctx context.Context) { id = pool.SlotFrom(ctx).ID() })
		if id != 1 {
			t.Errorf("the next job ran on slot %d, want 1", id)
		}
		if book.count("job panicked") != 1 || book.count("boom") == 0 || book.count("goroutine ") == 0 {
			t.Error("the panic was not logged with its stack")
		}
		eventually(t, "both jobs done", func() bool { return p.Stats().Done == 2 })
		if got := p.Stats().Panics; got != 1 {
			t.Errorf("panics = %d, want 1", got)
		}
		eventually(t, "JobDone after each", func() bool { return h.count("done") == 2 })
	})
}

func TestGoexitReplacesTheSlot(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		var book logBook
		var h recorder
		p := newPool(t, t.kind, pool.Config{Size: 1, Hooks: []pool.Hook{&h}, Logger: book.logger()})
		run(t, p, func(context.Context) { runtime.Goexit() })
		var id int
		run(t, p, func(ctx context.Context) { id = pool.SlotFrom(ctx).ID() })
		if id != 2 {
			t.Errorf("the next job ran on slot %d, want a new one", id)
		}
		eventually(t, "both jobs done", func() bool { return p.Stats().Done == 2 })
		stop(t, p)
		if got := h.all(1); got != "start done stop" {
			t.Errorf("hooks of slot 1: %s, want start done stop", got)
		}
		if book.count("job ended the goroutine of its slot") != 1 {
			t.Error("it was not logged")
		}
	})
}

// recorder is a hook that writes down what it was told, and on which goroutine.
type recorder struct {
	mu    sync.Mutex
	calls []call
}

type call struct {
	what      string
	slot      int
	goroutine string
	thread    int
}

func (h *recorder) note(what string, s *pool.Slot) {
	c := call{what: what, slot: s.ID(), goroutine: goroutine(), thread: thread()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

func (h *recorder) SlotStart(_ context.Context, s *pool.Slot) error { h.note("start", s); return nil }
func (h *recorder) JobDone(_ context.Context, s *pool.Slot)         { h.note("done", s) }
func (h *recorder) SlotStop(_ context.Context, s *pool.Slot)        { h.note("stop", s) }

func (h *recorder) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.calls {
		if c.what == what {
			n++
		}
	}
	return n
}

// all is what the hook was told of one slot.
func (h *recorder) all(slot int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var words []string
	for _, c := range h.calls {
		if c.slot == slot {
			words = append(words, c.what)
		}
	}
	return strings.Join(words, " ")
}

func TestHooksRunOnTheSlotsOwnGoroutine(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t trial) {
		var h recorder
		n := sizeOf(t.kind, 3)
		p := newPool(t, t.kind, pool.Config{Size: n, Hooks: []pool.Hook{&h}})
		for range 4 {
			release := make(chan struct{})
			var jobs []<-chan struct{}
			for range n {
				jobs = append(jobs, start(t, p, func(ctx context.Context) {
					<-release
					h.note("job", pool.SlotFrom(ctx))
				}))
			}
			close(release)
			for _, done := range jobs {
				wait(t, done)
			}
		}
		stop(t, p)
		checkCalls(t, t.kind, n, h.calls)
	})
}

func checkCalls(tb testing.TB, kind pool.Kind, n int, calls []call) {
	tb.Helper()
	first := map[int]call{}
	owner := map[string]int{}
	for _, c := range calls {
		f, known := first[c.slot]
		if !known {
			first[c.slot] = c
			f = c
		}
		if c.goroutine != f.goroutine {
			tb.Errorf("slot %d: %s on goroutine %s, %s on %s", c.slot, f.what, f.goroutine, c.what, c.goroutine)
		}
		place := c.goroutine
		if kind == pool.Threads {
			if c.thread != f.thread {
				tb.Errorf("slot %d: %s on thread %d, %s on %d", c.slot, f.what, f.thread, c.what, c.thread)
			}
			if runtime.GOOS == "linux" {
				place = fmt.Sprint(c.thread)
			}
		}
		if slot, taken := owner[place]; taken && slot != c.slot {
			tb.Errorf("slots %d and %d share %s", slot, c.slot, place)
		}
		owner[place] = c.slot
	}
	if len(first) != n || len(calls) != n*(2+4*2) {
		tb.Errorf("%d calls for %d slots, want %d for %d", len(calls), len(first), n*(2+4*2), n)
	}
}
