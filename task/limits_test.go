package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestRatesAreReadAsInCelery(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "0/m": 0, "0.0": 0,
		"5": 200 * time.Millisecond, "5/s": 200 * time.Millisecond, "0.5": 2 * time.Second, "0.5/s": 2 * time.Second,
		"10/m": 6 * time.Second, "100/m": 600 * time.Millisecond, "2/h": 30 * time.Minute, " 2 /h": 30 * time.Minute, "1e3/s": time.Millisecond,
	} {
		rate, err := task.ParseRate(text)
		if err != nil || rate.Every() != want {
			t.Errorf("rate %q = every %s, %v; want every %s", text, rate.Every(), err, want)
		}
	}
	for text, want := range map[string]string{
		"abc": "could not convert string to float: 'abc'", "/s": "could not convert string to float: ''", "10/d": "unknown unit 'd'",
		"10/": "", "-1/s": "not a number of times", "nan": "not a number", "inf/m": "not a number", "1e-300/h": "seventy years", "1/s/m": "unknown unit",
	} {
		_, err := task.ParseRate(text)
		if want == "" && err == nil {
			continue // as in Celery: no unit after the slash
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Invalid rate limit string") {
			t.Errorf("rate %q: %v; want %q in it", text, err, want)
		}
	}
}

func TestRatesAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "1/s", "7/s", "20/s", "2.5/s", "10/m", "59/m", "2/h", "0.25/h"} {
		rate, err := task.ParseRate(text)
		if err != nil || rate.String() != text {
			t.Errorf("rate %q is written %q, %v", text, rate, err)
		}
	}
}

type visit struct {
	Site  int       `task:"site"`
	Path  string    `task:"path"`
	At    time.Time `task:"at,optional"`
	Depth int       `task:"depth,optional"`
	Note  *string   `task:"note,keyword,optional"`
}

func visits(opts ...task.Option) *task.Task[visit, int] {
	return task.New("tasks.visit", func(context.Context, visit) (int, error) { return 0, nil }, opts...)
}

func keyOf(t *testing.T, key task.Key, args task.Arguments) string {
	t.Helper()
	k, err := key.Of(visits().Spec(), &task.Request{Arguments: args})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encodedBy(t *testing.T, c codec.Codec, args []any, kwargs map[string]any) task.Arguments {
	t.Helper()
	req, err := task.Signature{Task: "tasks.visit", Args: args, Kwargs: kwargs}.Request(c)
	if err != nil {
		t.Fatal(err)
	}
	return req.Arguments
}

func TestEqualArgumentsAreOneKeyWhoeverSendsThem(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	want := keyOf(t, task.AllArguments(), encodedBy(t, codec.JSON{}, []any{1, "/"}, map[string]any{"at": at}))
	for name, same := range map[string]task.Arguments{
		"by name":           encodedBy(t, codec.JSON{}, nil, map[string]any{"site": 1, "path": "/", "at": at}),
		"by position":       encodedBy(t, codec.JSON{}, []any{1, "/", at}, nil),
		"a float":           encodedBy(t, codec.JSON{}, []any{1.0, "/"}, map[string]any{"at": at}),
		"msgpack":           encodedBy(t, codec.Msgpack{}, []any{1, "/", at}, nil),
		"zero and optional": encodedBy(t, codec.JSON{}, []any{1, "/", at, 0}, map[string]any{"note": nil}),
		"kombu's datetime": {Args: []codec.Raw{
			codec.Raw("1"), codec.Raw(`"/"`), codec.Raw(`{"__type__": "datetime", "__value__": "2026-02-03T05:05:06+01:00"}`),
		}},
	} {
		if got := keyOf(t, task.AllArguments(), same); got != want {
			t.Errorf("%s: another key for equal arguments", name)
		}
	}
	s := visits().S(visit{Site: 1, Path: "/", At: at})
	if got := keyOf(t, task.AllArguments(), encodedBy(t, codec.JSON{}, s.Args, s.Kwargs)); got != want {
		t.Error("a typed call has another key")
	}
	for name, other := range map[string]task.Arguments{
		"another site": encodedBy(t, codec.JSON{}, []any{2, "/", at}, nil),
		"text":         encodedBy(t, codec.JSON{}, []any{"1", "/", at}, nil),
		"deeper":       encodedBy(t, codec.JSON{}, []any{1, "/", at, 1}, nil),
		"no time":      encodedBy(t, codec.JSON{}, []any{1, "/"}, nil),
	} {
		if got := keyOf(t, task.AllArguments(), other); got == want {
			t.Errorf("%s: the same key for other arguments", name)
		}
	}
}

func TestKeysAreMadeOfWhatTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	one, two := encodedBy(t, nil, []any{1, "/a"}, nil), encodedBy(t, nil, []any{1}, map[string]any{"path": "/b"})
	if keyOf(t, task.PerArgument("site"), one) != keyOf(t, task.PerArgument("site"), two) {
		t.Error("PerArgument looks at other arguments")
	}
	if keyOf(t, task.PerArgument("path"), one) == keyOf(t, task.PerArgument("path"), two) {
		t.Error("PerArgument does not look at its argument")
	}
	if keyOf(t, task.PerTask(), one) != "" || keyOf(t, task.Key{}, one) != "" {
		t.Error("PerTask has more than one key")
	}
	secret := task.PerKey(func(r *task.Request) (string, error) { return "secret" + string(r.Args[0]), nil })
	if got := keyOf(t, secret, one); got != keyOf(t, secret, two) || strings.Contains(got, "secret") || got == "" {
		t.Errorf("key of a function = %q", got)
	}
}

func TestKeyFunctionsMayFail(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, of := range map[string]func(*task.Request) (string, error){
		"error": func(*task.Request) (string, error) { return "", boom },
		"panic": func(*task.Request) (string, error) { panic("boom") },
	} {
		_, err := task.PerKey(of).Of(visits().Spec(), &task.Request{})
		if err == nil || !strings.Contains(err.Error(), "boom") || !strings.Contains(err.Error(), "tasks.visit") {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestLimitsThatMakeNoSensePanic(t *testing.T) {
	t.Parallel()
	for want, option := range map[string]func(){
		"Invalid rate limit string":        func() { task.RateLimit("ten") },
		"at least one call":                func() { task.MaxConcurrent(0) },
		"time to live":                     func() { task.Unique(task.PerTask(), 0, task.Both) },
		"unknown mode":                     func() { task.Unique(task.PerTask(), time.Hour, 0) },
		"Burst(-1)":                        func() { task.RateLimit("1/s", task.Burst(-1)) },
		"FreeAfter":                        func() { task.MaxConcurrent(1, task.FreeAfter(-1)) },
		`PerArgument("who"): the task has`: func() { visits(task.RateLimit("1/s", task.PerArgument("who"))) },
		`PerArgument("you"): the task has`: func() { visits(task.Unique(task.PerArgument("you"), time.Hour, task.Both)) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(v.(string), want) {
					t.Errorf("panic %v, want %q in it", v, want)
				}
			}()
			option()
		}()
	}
}

func TestUniqueWithoutAKeyTakesAllArguments(t *testing.T) {
	t.Parallel()
	unique := visits(task.Unique(task.Key{}, time.Hour, task.Queued)).Spec().Unique
	one, two := encodedBy(t, nil, []any{1, "/a"}, nil), encodedBy(t, nil, []any{1, "/b"}, nil)
	if keyOf(t, unique.Key, one) == keyOf(t, unique.Key, two) {
		t.Error("two calls with other arguments have one key")
	}
	if keyOf(t, unique.Key, one) == "" {
		t.Error("no key")
	}
}
