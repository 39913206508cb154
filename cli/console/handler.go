package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Options of a Handler. The zero value writes everything from Info up, without colour.
type Options struct {
	Level slog.Leveler // nil: Info
	Color bool
	// Scrub changes each line before it is written, to hide what must not be seen; nil changes nothing.
	Scrub func(string) string
}

// Handler is a slog.Handler that writes "[2026-11-22 11:11:25,123: INFO/MainProcess] message key=value". It is safe for concurrent
// use.
type Handler struct {
	opts   Options
	out    *output
	attrs  []slog.Attr // those of With, their groups put in front of the keys
	prefix string      // of the open groups
}

type output struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

var _ slog.Handler = (*Handler)(nil)

// New returns a handler that writes to w.
func New(w io.Writer, opts Options) *Handler {
	if opts.Level == nil {
		opts.Level = slog.LevelInfo
	}
	return &Handler{opts: opts, out: &output{w: w}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.opts.Level.Level()
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs) // two children must not share the room behind it
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// fewAttrs is how many attributes a record has at the most, as a rule.
const fewAttrs = 8

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	var room [fewAttrs]slog.Attr
	attrs := append(room[:0], h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.prefix, a)
		return true
	})
	line := h.line(r, attrs)
	if h.opts.Scrub != nil {
		line = h.opts.Scrub(line)
	}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, line)
	return err
}

func (h *Handler) line(r slog.Record, attrs []slog.Attr) string {
	rec := record{message: r.Message, attrs: attrs}
	text := clean(rec.text())
	start, end := h.color(r.Level)
	var b strings.Builder
	b.Grow(len(start) + len(end) + len("[2026-11-22 11:11:25,123: CRITICAL/MainProcess] \n") + len(text))
	b.WriteString(start)
	b.WriteByte('[')
	if !r.Time.IsZero() {
		var stamp [32]byte
		b.Write(r.Time.AppendFormat(stamp[:0], "2006-01-02 15:04:05,000: "))
	}
	b.WriteString(levelName(r.Level))
	b.WriteByte('/')
	b.WriteString(rec.process())
	b.WriteString("] ")
	b.WriteString(text)
	if traceback := strings.TrimRight(rec.value("traceback"), "\n"); traceback != "" {
		b.WriteString("\n" + cleanLines(traceback))
	}
	b.WriteString(end)
	b.WriteByte('\n')
	return b.String()
}

// color returns the escape codes around a line; Celery colours warnings and errors alike.
func (h *Handler) color(level slog.Level) (start, end string) {
	const reset = "\x1b[0m"
	switch {
	case !h.opts.Color:
		return "", ""
	case level >= slog.LevelError:
		return "\x1b[1;31m", reset
	case level >= slog.LevelWarn:
		return "\x1b[1;33m", reset
	case level < slog.LevelInfo:
		return "\x1b[1;34m", reset
	}
	return "", ""
}

// levelName is Python's name of the level.
func levelName(level slog.Level) string {
	switch {
	case level > slog.LevelError:
		return "CRITICAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// flatten appends a, or the members of the group that a is.
func flatten(attrs []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			attrs = flatten(attrs, prefix, member)
		}
		return attrs
	}
	if a.Equal(slog.Attr{}) {
		return attrs
	}
	a.Key = prefix + a.Key
	return append(attrs, a)
}

// text prints a value: durations in seconds, times in RFC 3339 UTC.
func text(v slog.Value) string {
	switch v.Kind() { //nolint:exhaustive // the others print themselves
	case slog.KindDuration:
		return strconv.FormatFloat(v.Duration().Seconds(), 'f', -1, 64) + "s"
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		return fmt.Sprint(v.Any())
	}
	return v.String()
}

// clean keeps a record on its line and control characters off the terminal: names and texts come from other machines.
func clean(s string) string { return escape(s, "") }

func cleanLines(s string) string { return escape(s, "\n\t") }

// isPlain reports whether a text is all printable ASCII, as nearly all are.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func escape(s, keep string) string {
	if isPlain(s) {
		return s
	}
	bad := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(keep, r) }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !bad(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
