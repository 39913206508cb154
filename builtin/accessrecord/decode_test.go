package accessrecord_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// newSQLite returns a recorder on a fresh file.
func newSQLite(t *testing.T, cfg accessrecord.Config) *accessrecord.Recorder {
	t.Helper()
	cfg.Database = "sqlite://" + filepath.Join(t.TempDir(), "visits.db")
	return newRecorder(t, cfg)
}

func newRecorder(t *testing.T, cfg accessrecord.Config) *accessrecord.Recorder {
	t.Helper()
	r, err := accessrecord.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// call runs the task as a worker does, without a pool.
func call(ctx context.Context, r *accessrecord.Recorder, id string, a task.Arguments) (any, error) {
	req := &task.Request{ID: id, Name: r.Task().Name(), Arguments: a}
	return r.Task().Spec().Handler.Handle(task.WithRequest(ctx, req), req)
}

func positional(data string) task.Arguments {
	return task.Arguments{Args: []codec.Raw{codec.Raw(data)}}
}

func newest(t *testing.T, r *accessrecord.Recorder) accessrecord.Visit {
	t.Helper()
	rows, err := r.List(t.Context(), 1)
	if err != nil || len(rows) != 1 {
		t.Fatalf("list: %d rows, error %v; want 1 row", len(rows), err)
	}
	return rows[0].Visit
}

func TestStoresWhatCeleryOfAnyVersionSends(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/tasks/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, error %v; want 6", len(files), err)
	}
	byPosition := accessrecord.Visit{
		Path: "/api/articles/1/", QueryStr: "page=2&sort=-date", Address: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
		Referer: "https://example.com/", ATime: time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), Source: "中国-广东-深圳",
	}
	byKeyword := accessrecord.Visit{
		Path: "/", Address: "127.0.0.1", UserAgent: "curl/7.88", ATime: time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC), Source: "内网IP",
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var a task.Arguments
			var embed codec.Raw
			if err := json.Unmarshal(body, &[]any{&a.Args, &a.Kwargs, &embed}); err != nil {
				t.Fatal(err)
			}
			r := newSQLite(t, accessrecord.Config{})
			if got, err := call(t.Context(), r, "id", a); got != "访问记录添加成功" || err != nil {
				t.Fatalf("result = %v, error %v", got, err)
			}
			want := byPosition
			if strings.Contains(file, "kwargs") {
				want = byKeyword
			}
			if diff := cmp.Diff(want, newest(t, r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMissingAndNullFieldsGetTheDefaults(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{}`,
		`{"path": null, "query_str": null, "address": null, "user_agent": null, "referer": null, "atime": null, "source": null}`,
	} {
		r := newSQLite(t, accessrecord.Config{})
		before := time.Now().Truncate(time.Microsecond)
		if _, err := call(t.Context(), r, "id", positional(data)); err != nil {
			t.Fatal(err)
		}
		got := newest(t, r)
		if got.ATime.Before(before) || got.ATime.After(time.Now()) {
			t.Errorf("atime = %s, want now", got.ATime)
		}
		if diff := cmp.Diff(accessrecord.Visit{Address: "unknown", UserAgent: "unknown", ATime: got.ATime}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", data, diff)
		}
	}
}

func TestEmptyTextsAreNotMissing(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	if _, err := call(t.Context(), r, "id", positional(`{"address": "", "user_agent": ""}`)); err != nil {
		t.Fatal(err)
	}
	if got := newest(t, r); got.Address != "" || got.UserAgent != "" {
		t.Errorf("address %q, user agent %q; want what was sent", got.Address, got.UserAgent)
	}
}

func TestATimeInAllItsForms(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC)
	for _, tt := range []struct {
		atime string
		in    *time.Location
		want  time.Time
	}{
		{`"2021-07-03T12:34:56.789012"`, nil, at},
		{`"2021-07-03 12:34:56.789012"`, nil, at},
		{`"2021-07-03T12:34:56.789012Z"`, nil, at},
		{`"2021-07-03T20:34:56.789012+08:00"`, nil, at},
		{`"2021-07-03T20:34:56.789012+0800"`, time.UTC, at},
		{`"2021-07-03T20:34:56.789012999+08:00"`, nil, at},
		{`"2021-07-03T12:34:56"`, nil, at.Truncate(time.Second)},
		{`"2021-07-03T20:34:56.789012"`, shanghai, at},
		{`"2021-07-03T12:34:56.789012+00:00"`, shanghai, at},
		{`{"__type__": "datetime", "__value__": "2021-07-03T12:34:56.789012"}`, nil, at},
		{`{"__type__": "datetime", "__value__": "2021-07-03T20:34:56.789012"}`, shanghai, at},
		{`{"__type__": "datetime", "__value__": "2021-07-03T20:34:56.789012+08:00"}`, shanghai, at},
		{`{"__type__": "datetime", "__value__": "2021-07-03T12:34:56.789012Z"}`, shanghai, at},
	} {
		r := newSQLite(t, accessrecord.Config{Location: tt.in})
		if _, err := call(t.Context(), r, "id", positional(`{"atime": `+tt.atime+`}`)); err != nil {
			t.Errorf("%s: %v", tt.atime, err)
			continue
		}
		if got := newest(t, r).ATime; !got.Equal(tt.want) {
			t.Errorf("%s in %v = %s, want %s", tt.atime, tt.in, got, tt.want)
		}
	}
}

func TestRefusesWhatDoesNotFitAndNamesTheField(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	long := func(n int) string { return strings.Repeat("访", n) }
	for _, tt := range []struct{ name, data, class, message string }{
		{"unknown field", `{"path": "/", "colour": "red"}`, "TypeError", "access_record() data got an unexpected field 'colour'"},
		{"case counts", `{"Path": "/"}`, "TypeError", "access_record() data got an unexpected field 'Path'"},
		{"number", `{"path": 7}`, "TypeError", "access_record() data field 'path' must be a str, not int"},
		{"float", `{"query_str": 1.5}`, "TypeError", "access_record() data field 'query_str' must be a str, not float"},
		{"bool", `{"address": true}`, "TypeError", "access_record() data field 'address' must be a str, not bool"},
		{"list", `{"user_agent": ["a"]}`, "TypeError", "access_record() data field 'user_agent' must be a str, not list"},
		{"dict", `{"referer": {}}`, "TypeError", "access_record() data field 'referer' must be a str, not dict"},
		{"datetime", `{"source": {"__type__": "datetime", "__value__": "2021-07-03T12:34:56"}}`, "TypeError", "access_record() data field 'source' must be a str, not datetime"},
		{"NUL", `{"path": "/\u0000"}`, "ValueError", "access_record() data field 'path' holds NUL or bytes that are not UTF-8"},
		{"long path", `{"path": "` + long(2049) + `"}`, "ValueError", "access_record() data field 'path' has 2049 characters, at most 2048 are allowed"},
		{"long query", `{"query_str": "` + long(4097) + `"}`, "ValueError", "access_record() data field 'query_str' has 4097 characters, at most 4096 are allowed"},
		{"long address", `{"address": "` + long(65) + `"}`, "ValueError", "access_record() data field 'address' has 65 characters, at most 64 are allowed"},
		{"long agent", `{"user_agent": "` + long(1025) + `"}`, "ValueError", "access_record() data field 'user_agent' has 1025 characters, at most 1024 are allowed"},
		{"long referer", `{"referer": "` + long(2049) + `"}`, "ValueError", "access_record() data field 'referer' has 2049 characters, at most 2048 are allowed"},
		{"long source", `{"source": "` + long(256) + `"}`, "ValueError", "access_record() data field 'source' has 256 characters, at most 255 are allowed"},
		{"atime number", `{"atime": 1625315696}`, "TypeError", "access_record() data field 'atime' must be a datetime or a str, not int"},
		{"atime text", `{"atime": "yesterday"}`, "ValueError", "access_record() data field 'atime': \"yesterday\" is no ISO 8601 time"},
		{"atime empty", `{"atime": ""}`, "ValueError", "access_record() data field 'atime': \"\" is no ISO 8601 time"},
		{"atime year", `{"atime": "0000-01-01T00:00:00"}`, "ValueError", "access_record() data field 'atime' is in the year 0, want 1 to 9999"},
		{"data text", `"/"`, "TypeError", "access_record() data must be a dict, not str"},
		{"data null", `null`, "TypeError", "access_record() data must be a dict, not None"},
		{"data list", `[]`, "TypeError", "access_record() data must be a dict, not list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := call(t.Context(), r, "id", positional(tt.data))
			got := task.Exceptions(nil).From(err)
			want := task.Exception{Type: tt.class, Module: "builtins", Message: []any{tt.message}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if _, ok := errors.AsType[*task.PermanentError](err); !ok {
				t.Errorf("%v would be retried", err)
			}
		})
	}
	if rows, err := r.List(t.Context(), 10); len(rows) != 0 || err != nil {
		t.Errorf("%d rows were stored, error %v; want none", len(rows), err)
	}
}

func TestWrongCallsFailAsInPython(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	for want, a := range map[string]task.Arguments{
		"access_record() missing 1 required positional argument: 'data'": {},
		"access_record() got an unexpected keyword argument 'path'":      {Kwargs: map[string]codec.Raw{"path": codec.Raw(`"/"`)}},
		"access_record() takes 1 positional argument but 2 were given":   {Args: []codec.Raw{codec.Raw(`{}`), codec.Raw(`{}`)}},
		"access_record() got multiple values for argument 'data'":        {Args: []codec.Raw{codec.Raw(`{}`)}, Kwargs: map[string]codec.Raw{"data": codec.Raw(`{}`)}},
	} {
		_, err := call(t.Context(), r, "id", a)
		if got := task.Exceptions(nil).From(err); got.Type != "TypeError" || got.Message[0] != want {
			t.Errorf("exception = %v, want TypeError %s", got, want)
		}
	}
}

func TestLimitsAreReached(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	want := accessrecord.Visit{
		Path: strings.Repeat("访", accessrecord.MaxPath), QueryStr: strings.Repeat("问", accessrecord.MaxQueryStr),
		Address: strings.Repeat("1", accessrecord.MaxAddress), UserAgent: strings.Repeat("记", accessrecord.MaxUserAgent),
		Referer: strings.Repeat("录", accessrecord.MaxReferer), Source: strings.Repeat("源", accessrecord.MaxSource),
		ATime: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	}
	data, err := codec.JSON{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), r, "id", positional(string(data))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, newest(t, r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
