package accessrecord_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/task"
)

// sender is a task.Sender whose broker takes as long as each test says.
type sender struct {
	send func(ctx context.Context) error

	mu   sync.Mutex
	sent []task.Signature
}

// Send implements task.Sender.
func (s *sender) Send(ctx context.Context, sig task.Signature) (*task.Result[any], error) {
	if s.send != nil {
		if err := s.send(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, sig)
	return task.NewResult[any](sig.ID, nil), nil
}

func (s *sender) paths() (paths []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sig := range s.sent {
		paths = append(paths, sig.Args[0].(accessrecord.Visit).Path)
	}
	return paths
}

// down is a broker that cannot be reached: it answers when the caller's patience ends.
func down(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func newMiddleware(t *testing.T, s task.Sender, cfg accessrecord.MiddlewareConfig) *accessrecord.Middleware {
	t.Helper()
	m, err := accessrecord.NewMiddleware(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(t, target, "203.0.113.7:99", http.Header{}))
	return w
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

func TestEachPageIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		m := newMiddleware(t, s, accessrecord.MiddlewareConfig{
			Skip: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") },
			Send: []task.SendOption{task.Queue("visits")},
		})
		site := m.Wrap(http.HandlerFunc(ok))
		if w := get(t, site, "/a/"); w.Code != http.StatusTeapot {
			t.Errorf("status = %d, want the handler's", w.Code)
		}
		get(t, site, "/static/logo.png")
		synctest.Wait()
		if got := s.paths(); len(got) != 1 || got[0] != "/a/" {
			t.Fatalf("sent %v, want /a/", got)
		}
		if sig := s.sent[0]; sig.Task != "access_record" || sig.Queue != "visits" || !sig.IgnoreResult {
			t.Errorf("signature = %+v", sig)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := m.Stats(), (accessrecord.MiddlewareStats{Sent: 1}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

func TestTheResponseDoesNotWaitForADeadBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, &sender{send: down}, accessrecord.MiddlewareConfig{Buffer: 10, Workers: 2, SendTimeout: time.Hour})
		site := m.Wrap(http.HandlerFunc(ok))
		start := time.Now()
		for range 2 {
			get(t, site, "/")
		}
		synctest.Wait() // both workers hold one
		for range 98 {
			if w := get(t, site, "/"); w.Code != http.StatusTeapot {
				t.Fatalf("status = %d", w.Code)
			}
		}
		if took := time.Since(start); took != 0 { // the bubble's clock moves only when everybody waits
			t.Errorf("100 responses waited %s, want no wait", took)
		}
		if got, want := m.Stats(), (accessrecord.MiddlewareStats{Dropped: 88, Waiting: 10}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "12 visits") {
			t.Errorf("close = %v, want 12 visits lost by the deadline", err)
		}
		if got, want := m.Stats(), (accessrecord.MiddlewareStats{Dropped: 88, Failed: 12}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context) error { time.Sleep(time.Second); return nil }
		s := &sender{send: slow}
		m := newMiddleware(t, s, accessrecord.MiddlewareConfig{Workers: 1})
		site := m.Wrap(http.HandlerFunc(ok))
		for range 5 {
			get(t, site, "/")
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(s.paths()); got != 5 {
			t.Errorf("%d visits sent, want 5", got)
		}
		if w := get(t, site, "/late/"); w.Code != http.StatusTeapot {
			t.Errorf("status after Close = %d, want the handler's", w.Code)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("second close: %v", err)
		}
		if got, want := m.Stats(), (accessrecord.MiddlewareStats{Sent: 5, Dropped: 1}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

func TestASlowSendingEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, &sender{send: down}, accessrecord.MiddlewareConfig{SendTimeout: 3 * time.Second})
		get(t, m.Wrap(http.HandlerFunc(ok)), "/")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := m.Stats().Failed; got != 1 {
			t.Errorf("failed = %d, want 1", got)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("close = %v: nothing was left", err)
		}
	})
}

func TestLostVisitsAreLoggedOncePerInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		refuse := func(context.Context) error { return errors.New("no route") }
		m := newMiddleware(t, &sender{send: refuse}, accessrecord.MiddlewareConfig{
			LogEvery: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		site := m.Wrap(http.HandlerFunc(ok))
		for range 3 {
			for range 10 {
				get(t, site, "/")
			}
			synctest.Wait()
			time.Sleep(31 * time.Second)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := log.String()
		for _, want := range []string{"count=1 ", "count=20 ", "count=9 "} {
			if !strings.Contains(got, want) {
				t.Errorf("no line with %q in\n%s", want, got)
			}
		}
		if n := strings.Count(got, "\n"); n != 3 {
			t.Errorf("%d lines, want 3:\n%s", n, got)
		}
	})
}

func TestAPanicOfTheHandlerPassesThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		m := newMiddleware(t, s, accessrecord.MiddlewareConfig{})
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("recovered %v, want http.ErrAbortHandler", err)
				}
			}()
			get(t, m.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), "/boom/")
		}()
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.paths(); len(got) != 1 || got[0] != "/boom/" {
			t.Errorf("sent %v, want /boom/", got)
		}
	})
}

func TestTheHandlerGetsTheVeryWriterAndRequest(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, &sender{}, accessrecord.MiddlewareConfig{})
	defer func() { _ = m.Close(context.WithoutCancel(t.Context())) }()
	w, r := httptest.NewRecorder(), request(t, "/", "203.0.113.7:99", nil)
	m.Wrap(http.HandlerFunc(func(gotW http.ResponseWriter, gotR *http.Request) {
		if gotW != w || gotR != r { // so that Flusher, Hijacker and the rest are there
			t.Error("the handler got another writer or request")
		}
	})).ServeHTTP(w, r)
}

// slowLocator takes a second for each address, and breaks on one.
type slowLocator struct{}

func (slowLocator) Locate(addr netip.Addr) (accessrecord.Place, bool) {
	time.Sleep(time.Second)
	if addr == netip.MustParseAddr("203.0.113.13") {
		panic("no such luck")
	}
	return accessrecord.Place{Country: "China"}, true
}

func TestASlowOrBrokenLocatorDelaysNoResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		m := newMiddleware(t, s, accessrecord.MiddlewareConfig{Collect: []accessrecord.CollectOption{accessrecord.Locate(slowLocator{})}})
		site := m.Wrap(http.HandlerFunc(ok))
		start := time.Now()
		site.ServeHTTP(httptest.NewRecorder(), request(t, "/", "203.0.113.13:99", nil))
		get(t, site, "/")
		if took := time.Since(start); took != 0 {
			t.Errorf("the responses waited %s", took)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := m.Stats(), (accessrecord.MiddlewareStats{Sent: 1, Failed: 1}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		if got := s.sent[0].Args[0].(accessrecord.Visit).Source; got != "China" {
			t.Errorf("source = %q, want China", got)
		}
	})
}

func TestManyRequestsAndCloseAtOnce(t *testing.T) {
	t.Parallel()
	m := newMiddleware(t, &sender{}, accessrecord.MiddlewareConfig{Buffer: 5})
	site := m.Wrap(http.HandlerFunc(ok))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				site.ServeHTTP(httptest.NewRecorder(), request(t, "/", "203.0.113.7:99", nil))
			}
		})
	}
	wg.Go(func() {
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if s := m.Stats(); s.Sent+s.Dropped != 1600 || s.Failed != 0 || s.Waiting != 0 {
		t.Errorf("stats = %+v, want 1600 visits sent or dropped", s)
	}
}

func TestAWrongMiddlewareConfigIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := accessrecord.NewMiddleware(nil, accessrecord.MiddlewareConfig{}); err == nil {
		t.Error("no sender: no error")
	}
	if _, err := accessrecord.NewMiddleware(&sender{}, accessrecord.MiddlewareConfig{Buffer: -1}); err == nil {
		t.Error("negative buffer: no error")
	}
}
