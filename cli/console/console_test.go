package console_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/cli/console"
)

func logged(t *testing.T, opts console.Options, act func(*slog.Logger)) string {
	t.Helper()
	var b strings.Builder
	act(slog.New(console.New(&b, opts)))
	return b.String()
}

// body is the line without Celery's prefix.
func body(t *testing.T, line string) string {
	t.Helper()
	m := regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: [A-Z]+/[A-Za-z0-9-]+\] ((?s).*)\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("line = %q, want Celery's prefix", line)
	}
	return m[1]
}

func TestTaskLinesReadAsInCelery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		message string
		attrs   []any
		want    string
	}{
		{"task received", []any{"queue", "celery"}, "Task proj.add[d9-1] received"},
		{"task succeeded", []any{"runtime", 0.0735, "result", "3"}, "Task proj.add[d9-1] succeeded in 0.0735s: 3"},
		{"task succeeded", []any{"runtime", 1500 * time.Millisecond, "result", "'x'"}, "Task proj.add[d9-1] succeeded in 1.5s: 'x'"},
		{"task failed", []any{"runtime", 1.0, "error", "KeyError('x')", "traceback", "Traceback:\n  File\n"}, "Task proj.add[d9-1] raised unexpected: KeyError('x')\nTraceback:\n  File"},
		{"task retried", []any{"retry_in", 1.0, "error", "ValueError('nope')"}, "Task proj.add[d9-1] retry: Retry in 1s: ValueError('nope')"},
		{"task retried", []any{"retry_in", 0.5}, "Task proj.add[d9-1] retry: Retry in 0.5s"},
		{"task ignored", nil, "Task proj.add[d9-1] ignored"},
		{"task rejected", []any{"requeue", false, "error", errors.New("no")}, "Task proj.add[d9-1] reject requeue=False: no"},
		{"task rejected", []any{"requeue", true, "error", "no"}, "Task proj.add[d9-1] reject requeue=True: no"},
		{"task expired", nil, "Discarding revoked task: proj.add[d9-1]"},
		{"soft time limit exceeded", []any{"limit", 2.0}, "Soft time limit (2s) exceeded for proj.add[d9-1]"},
		{"hard time limit exceeded", []any{"limit", 4.5}, "Hard time limit (4.5s) exceeded for proj.add[d9-1]"},
		{"task abandoned", nil, "task abandoned task=proj.add id=d9-1"},
	} {
		line := logged(t, console.Options{}, func(log *slog.Logger) {
			log.With("task", "proj.add", "id", "d9-1").Info(tt.message, tt.attrs...) //nolint:sloglint // the messages are constants of the worker
		})
		if got := body(t, line); got != tt.want {
			t.Errorf("%s = %q, want %q", tt.message, got, tt.want)
		}
	}
}

func TestOtherLinesShowTheirAttributes(t *testing.T) {
	t.Parallel()
	line := logged(t, console.Options{}, func(log *slog.Logger) {
		log.With("a", 1).WithGroup("g").With("b", "two words").Warn("session was lost",
			"error", errors.New("EOF"), "retry_in", 2*time.Second, slog.Group("h", "c", true))
	})
	if want := `session was lost a=1 g.b="two words" g.error=EOF g.retry_in=2s g.h.c=true`; body(t, line) != want {
		t.Errorf("line = %q, want %q", body(t, line), want)
	}
	if !strings.Contains(line, ": WARNING/MainProcess] ") {
		t.Errorf("line = %q, want Python's name of the level", line)
	}
	if line := logged(t, console.Options{}, func(log *slog.Logger) { log.Error("x", "slot", 3) }); !strings.Contains(line, ": ERROR/Slot-3] x\n") {
		t.Errorf("line = %q, want the slot in the place of the process", line)
	}
}

func TestLevelsBelowTheChosenOneAreLeftOut(t *testing.T) {
	t.Parallel()
	line := logged(t, console.Options{Level: slog.LevelWarn}, func(log *slog.Logger) { log.Info("x"); log.Debug("y") })
	if line != "" {
		t.Errorf("line = %q, want none", line)
	}
}

func TestTextsOfOthersStayOnTheirLineAndOffTheTerminal(t *testing.T) {
	t.Parallel()
	line := logged(t, console.Options{}, func(log *slog.Logger) {
		log.Info("task received", "task", "evil\n[2026] \x1b[2Jname", "id", "访问\u202e")
	})
	if want := `Task evil\n[2026] \x1b[2Jname[访问\u202e] received`; body(t, line) != want {
		t.Errorf("line = %q, want %q", body(t, line), want)
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	act := func(log *slog.Logger) { log.Error("x") }
	if line := logged(t, console.Options{}, act); strings.Contains(line, "\x1b") {
		t.Errorf("line = %q, want no colour", line)
	}
	if line := logged(t, console.Options{Color: true}, act); !strings.HasPrefix(line, "\x1b[1;31m[") || !strings.HasSuffix(line, "\x1b[0m\n") {
		t.Errorf("line = %q, want a red one", line)
	}
	getenv := func(string) string { return "" }
	if console.WantsColor("auto", &strings.Builder{}, getenv) || !console.WantsColor("always", &strings.Builder{}, getenv) ||
		console.WantsColor("never", os.Stderr, getenv) {
		t.Error("auto must not colour a buffer, always must, never must not")
	}
}

func TestLoggersDoNotShareAttributes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	base := slog.New(console.New(&b, console.Options{})).With("a", 1, "b", 2, "c", 3)
	var wg sync.WaitGroup
	for _, name := range []string{"left", "right"} {
		wg.Go(func() {
			for range 100 {
				base.With("own", name).Info("event", "name", name)
			}
		})
	}
	wg.Wait()
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, " name=left") != strings.Contains(line, " own=left") {
			t.Fatalf("line = %q mixes two loggers", line)
		}
	}
}

func TestJSONLinesCarryUTCAndSeconds(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	scrub := func(s string) string { return strings.ReplaceAll(s, "secret", "**") }
	slog.New(console.NewJSON(&b, console.Options{Scrub: scrub})).Info("task succeeded",
		"runtime", 1500*time.Millisecond, "eta", time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600)), "error", errors.New("a secret"))
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got["msg"] != "task succeeded" || got["runtime"] != 1.5 || got["eta"] != "2026-11-22T11:00:00Z" || got["error"] != "a **" {
		t.Errorf("line = %v", got)
	}
	if stamp, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil || stamp.Location() != time.UTC {
		t.Errorf("time = %v, want RFC 3339 in UTC", got["time"])
	}
}
