package task_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// The right-hand sides were printed by CPython 3.11 for the same values.
func TestReprIsPythons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "None"},
		{true, "True"},
		{3, "3"},
		{uint8(7), "7"},
		{2.0, "2.0"},
		{0.1, "0.1"},
		{1e16, "1e+16"},
		{1e-5, "1e-05"},
		{math.NaN(), "nan"},
		{math.Inf(-1), "-inf"},
		{"it", "'it'"},
		{"it's", `"it's"`},
		{`both ' and "`, `'both \' and "'`},
		{"tab\tline\n", `'tab\tline\n'`},
		{"\x00\u200b", `'\x00\u200b'`},
		{"访问", "'访问'"},
		{[]any{1, "a", nil}, "[1, 'a', None]"},
		{map[string]any{"b": 2, "a": []int{1}}, "{'a': [1], 'b': 2}"},
		{struct {
			Path string `json:"path"`
			X    int    `json:"-"`
		}{Path: "/"}, "{'path': '/'}"},
		{time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), "datetime.datetime(2021, 7, 3, 12, 34, 56, 789012, tzinfo=datetime.timezone.utc)"},
	} {
		if got := task.Repr(c.v); got != c.want {
			t.Errorf("repr of %#v = %s, want %s", c.v, got, c.want)
		}
	}
}

func TestReprOfArgumentsIsATuple(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]any{"()": {}, "(1,)": {1}, "(1, 'two')": {1, "two"}} {
		if got := task.ReprArgs(args); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := task.ReprKwargs(map[string]any{"k": "v"}); got != "{'k': 'v'}" {
		t.Errorf("got %s", got)
	}
}

func TestReprIsBounded(t *testing.T) {
	t.Parallel()
	long := task.ReprArgs([]any{strings.Repeat("é", 100_000)})
	if len(long) > 1100 || !strings.HasSuffix(long, "...)") {
		t.Errorf("%d bytes, ending in %q", len(long), long[len(long)-8:])
	}
	ring := map[string]any{}
	ring["self"] = ring
	if got := task.Repr(ring); len(got) > 4000 {
		t.Errorf("a ring prints %d bytes", len(got))
	}
}
