package console

import (
	"io"
	"log/slog"
	"time"
)

// NewJSON returns a handler that writes one JSON object per line: time in RFC 3339 UTC, level, msg, and the attributes under their
// keys, durations in seconds. Scrub of opts is given the texts of the attributes.
func NewJSON(w io.Writer, opts Options) slog.Handler {
	level := opts.Level
	if level == nil {
		level = slog.LevelInfo
	}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() { //nolint:exhaustive // the others are JSON's own
		case slog.KindTime:
			a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
		case slog.KindDuration:
			a.Value = slog.Float64Value(a.Value.Duration().Seconds())
		case slog.KindString:
			a.Value = slog.StringValue(opts.scrub(a.Value.String()))
		case slog.KindAny:
			if err, ok := a.Value.Any().(error); ok {
				a.Value = slog.StringValue(opts.scrub(err.Error()))
			}
		}
		return a
	}})
}

func (o Options) scrub(text string) string {
	if o.Scrub == nil {
		return text
	}
	return o.Scrub(text)
}
