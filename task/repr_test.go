package task_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
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

// coded is an error that has to be there to be told.
type coded struct{ code string }

func (c *coded) Error() string { return c.code }

func TestAnErrorThatIsNotThereIsNone(t *testing.T) {
	t.Parallel()
	v := struct {
		Code  *coded `json:"code"`
		Cause error  `json:"cause"`
	}{nil, (*coded)(nil)}
	const want = "{'code': None, 'cause': None}"
	if got := task.Repr(v); got != want {
		t.Errorf("repr = %s, want %s", got, want)
	}
	if got := task.ReprResult(v); got != want {
		t.Errorf("repr of a result = %s, want %s", got, want)
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

// TestArgumentsAreCutAsCeleryCuts compares with what celery.utils.saferepr.saferepr(args, 1024) of Celery 5.2.6 printed.
func TestArgumentsAreCutAsCeleryCuts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/saferepr.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	numbers, ones := make([]int, 1000), slices.Repeat([]int{1}, 400)
	for i := range numbers {
		numbers[i] = i
	}
	keys := map[string]int{}
	for i := range 300 {
		keys[fmt.Sprintf("k%03d", i)] = i
	}
	when := time.Date(2021, 7, 3, 12, 34, 0, 0, time.UTC)
	cases := [][]any{
		{numbers},
		{x(5000)},
		{strings.Repeat("word ", 500)},
		{"it's"},
		{"a\nb\\c"},
		{map[string]any{"a": map[string]any{"b": map[string]any{"c": map[string]any{"d": 1}}}}},
		{[]any{[]any{[]any{[]any{1}}}, []any{}, map[string]any{}}},
		{ones, []int{2}},
		{strings.Repeat("é", 600), strings.Repeat("é", 600)},
		{[]byte("hello"), []byte("\xff\x00"), bytes.Repeat([]byte("\xff"), 2000)},
		{keys},
		{1.5, nil, true, new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)},
		{x(1019)},
		{x(1020)},
		{x(1021)},
		{x(1022)},
		{x(1023)},
		{x(1024)},
		{x(1025)},
		{x(1015), 5, 6},
		{x(1016), 5, 6},
		{x(1017), 5, 6},
		{x(1018), 5, 6},
		{[]any{[]any{x(1020)}, 2}, 3},
		{x(1010), when},
		{x(900), when},
	}
	if len(want) != len(cases) {
		t.Fatalf("%d texts, want %d", len(want), len(cases))
	}
	for i, args := range cases {
		if got := task.ReprArgs(args); got != want[i] {
			t.Errorf("case %d:\ngot  %s\nwant %s", i, got, want[i])
		}
	}
}

func TestReprIsBounded(t *testing.T) {
	t.Parallel()
	ring := map[string]any{}
	ring["self"] = ring
	if got := task.Repr(ring); len(got) > 4000 {
		t.Errorf("a ring prints %d bytes", len(got))
	}
	type loop *loop
	var round loop
	round = &round
	for name, v := range map[string]any{"ring": ring, "pointer to itself": round} {
		if got := task.ReprArgs([]any{v}); len(got) > 1100 {
			t.Errorf("%s prints %d bytes", name, len(got))
		}
	}
}
