package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/cli/config"
)

// tables is a table of settings that consist of tables.
func tables() config.Table {
	return config.Table{
		{Name: "worker.pool"},
		{Name: "queues", Kind: config.Tables, Fields: config.Table{
			{Name: "exchange"},
			{Name: "exchange_type", Choices: []string{"direct", "topic"}},
			{Name: "max_priority", Kind: config.Int},
			{Name: "expires", Kind: config.Seconds},
			{Name: "durable", Kind: config.Switch},
			{Name: "keys", Kind: config.List},
			{Name: "arguments", Kind: config.Map},
			{Name: "bindings", Kind: config.Records, Fields: config.Table{{Name: "key"}, {Name: "arguments", Kind: config.Map}}},
		}},
		{Name: "routes", Kind: config.Records, Fields: config.Table{{Name: "match"}, {Name: "queue"}}},
	}
}

const queuesFile = `[worker]
pool = "solo"

[queues.mail]
max_priority = 10
expires = "1m"
durable = true
keys = ["a", "b"]

[queues."feed.in"]
exchange = "feeds"
exchange_type = "TOPIC"
arguments = { x-max-length = 1000, x-rate = 2.0, x-deep = { list = [1, "two"] } }

[[queues."feed.in".bindings]]
key = "feed.*"
[[queues."feed.in".bindings]]
key = "news.#"
arguments = { x = 1 }

[[routes]]
match = "feed.*"
queue = "feed.in"
[[routes]]
match = "*"
queue = "mail"
`

const queuesJSON = `{"mail": {"max_priority": 10, "expires": "1m", "durable": true, "keys": ["a", "b"]},
"feed.in": {"exchange": "feeds", "exchange_type": "TOPIC",
"arguments": {"x-max-length": 1000, "x-rate": 2.0, "x-deep": {"list": [1, "two"]}},
"bindings": [{"key": "feed.*"}, {"key": "news.#", "arguments": {"x": 1}}]}}`

const routesJSON = `[{"match": "feed.*", "queue": "feed.in"}, {"match": "*", "queue": "mail"}]`

func loadTables(t *testing.T, s config.Sources) *config.Values {
	t.Helper()
	values, err := tables().Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestTablesMeanTheSameInAFileAndInVariables(t *testing.T) {
	t.Parallel()
	path := write(t, "taskq.toml", queuesFile)
	for name, values := range map[string]*config.Values{
		"file":      loadTables(t, config.Sources{File: path}),
		"variables": loadTables(t, config.Sources{File: write(t, "taskq.toml", ""), LookupEnv: env("TASKQ_QUEUES", queuesJSON, "TASKQ_ROUTES", routesJSON)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queues := values.Entries("queues")
			if len(queues) != 2 || queues[0].Name != "feed.in" || queues[1].Name != "mail" {
				t.Fatalf("queues = %v, want feed.in and mail", queues)
			}
			feed, mail := queues[0], queues[1]
			if mail.Int("max_priority") != 10 || mail.Seconds("expires") != time.Minute || !mail.On("durable") || len(mail.List("keys")) != 2 {
				t.Errorf("mail = %v", mail)
			}
			if feed.Text("exchange") != "feeds" || mail.Given("exchange") || !feed.Given("exchange") || mail.Text("exchange") != "" {
				t.Errorf("exchange = %q and %q", feed.Text("exchange"), mail.Text("exchange"))
			}
			want := map[string]any{"x-max-length": int64(1000), "x-rate": 2.0, "x-deep": map[string]any{"list": []any{int64(1), "two"}}}
			if got := feed.Map("arguments"); !reflect.DeepEqual(got, want) {
				t.Errorf("arguments = %#v, want %#v", got, want)
			}
			if b := feed.Entries("bindings"); len(b) != 2 || b[1].Text("key") != "news.#" || b[1].Map("arguments")["x"] != int64(1) {
				t.Errorf("bindings = %v", b)
			}
			if r := values.Entries("routes"); len(r) != 2 || r[0].Text("match") != "feed.*" || r[1].Text("queue") != "mail" || r[1].Name != "" {
				t.Errorf("routes = %v", r)
			}
			if got, want := values.Show("routes"), `{ match = "feed.*", queue = "feed.in" }, { match = "*", queue = "mail" }`; got != want {
				t.Errorf("shown: %s, want %s", got, want)
			}
			shown := `exchange = "feeds", exchange_type = "TOPIC", arguments = { x-deep = { list = [1, "two"] }, x-max-length = 1000, x-rate = 2.0 }, ` +
				`bindings = [{ key = "feed.*" }, { arguments = { x = 1 }, key = "news.#" }]`
			if feed.String() != shown {
				t.Errorf("shown: %s, want %s", feed, shown)
			}
		})
	}
}

func TestTablesKnowWhereTheyAre(t *testing.T) {
	t.Parallel()
	path := write(t, "taskq.toml", queuesFile)
	values := loadTables(t, config.Sources{File: path})
	queues, routes := values.Entries("queues"), values.Entries("routes")
	for _, tt := range []struct {
		entry config.Entry
		path  string
		line  string
	}{
		{queues[0], `queues."feed.in"`, ":10"},
		{queues[0].Entries("bindings")[1], `queues."feed.in".bindings[1]`, ":17"},
		{queues[1], "queues.mail", ":4"},
		{routes[0], "routes[0]", ":21"},
		{routes[1], "routes[1]", ":24"},
	} {
		if tt.entry.Path != tt.path || tt.entry.Origin.String() != "file "+path+tt.line {
			t.Errorf("%s is at %s, want %s at %s", tt.entry.Path, tt.entry.Origin, tt.path, tt.line)
		}
	}
	values = loadTables(t, config.Sources{File: path, LookupEnv: env("TASKQ_ROUTES", routesJSON)})
	if got := values.Entries("routes")[1].Origin.String(); got != "environment TASKQ_ROUTES" {
		t.Errorf("origin = %s, want the variable, which wins over the file", got)
	}
	if len(values.Entries("queues")) != 2 {
		t.Error("a variable for the routes has no effect on the queues")
	}
}

func TestTablesMayBeWrittenInline(t *testing.T) {
	t.Parallel()
	path := write(t, "taskq.toml", "routes = [\n  { match = 'a' },\n  { match = 'b' },\n]\n[queues]\nmail.max_priority = 1\nx = { exchange = 'e' }\n")
	values := loadTables(t, config.Sources{File: path})
	for _, e := range append(values.Entries("queues"), values.Entries("routes")...) {
		want := map[string]string{"queues.mail": ":6", "queues.x": ":7", "routes[0]": ":2", "routes[1]": ":3"}[e.Path]
		if e.Origin.Where != path+want {
			t.Errorf("%s is at %s, want line %s", e.Path, e.Origin.Where, want)
		}
	}
}

func TestMistakesInTablesNameThePlaceAndTheRemedy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, queues string
		want               []string
	}{
		{"misspelt field", "[queues.mail]\nexchange = 'x'\nmax_priorty = 1\n", "", []string{"taskq.toml:3: queues.mail.max_priorty: ", `did you mean "max_priority"?`, "3 | max_priorty = …"}},
		{"second route", "[[routes]]\nmatch = 'a'\n[[routes]]\nqueue = 'b'\nmach = 'c'\n", "", []string{"taskq.toml:5: routes[1].mach: unknown key", `"match"`}},
		{"no number", "[queues.'a.b']\nmax_priority = 'x'\n", "", []string{`taskq.toml:2: queues."a.b".max_priority:`, "not a whole number"}},
		{"no choice", "[queues.a]\nexchange_type = 'toppic'\n", "", []string{"taskq.toml:2: queues.a.exchange_type:", "none of direct, topic"}},
		{"no table", "queues = 'a'\n", "", []string{"taskq.toml:1: queues: wanted are tables with names: [queues.NAME]"}},
		{"no table inside", "[queues]\na = 5\n", "", []string{"taskq.toml:2: queues.a: wanted are tables with names"}},
		{"no list", "[routes.a]\nmatch = 'x'\n", "", []string{"taskq.toml:1: routes: wanted are tables in a list: [[routes]]"}},
		{"no map", "[queues.a]\narguments = 5\n", "", []string{"taskq.toml:2: queues.a.arguments: wanted is a table"}},
		{"a date", "[queues.a]\narguments = {\n x-a = 1979-05-27 }\n", "", []string{"taskq.toml:3: queues.a.arguments.x-a: the value is neither"}},
		{"inside of a list", "[[queues.a.bindings]]\nkey = 'x'\n[[queues.a.bindings]]\nkyy = 'x'\n", "", []string{"taskq.toml:4: queues.a.bindings[1].kyy: unknown key"}},
		{"misspelt setting", "[queus.a]\nexchange = 'x'\n", "", []string{`unknown key "queus.a"`, `did you mean the tables of "queues"?`}},
		{"no JSON", "", `{"a": {`, []string{"TASKQ_QUEUES: not JSON", `{"NAME": {"exchange": …}}`}},
		{"more than JSON", "", `{} {}`, []string{"TASKQ_QUEUES: not JSON: something follows"}},
		{"null", "", `{"a": {"exchange": null}}`, []string{"TASKQ_QUEUES: queues.a.exchange: null"}},
		{"other shape", "", `[{"exchange": "x"}]`, []string{"TASKQ_QUEUES: queues: wanted are tables with names"}},
		{"misspelt in JSON", "", `{"a": {"exchnge": "x"}}`, []string{`TASKQ_QUEUES: queues.a.exchnge: unknown key; did you mean "exchange"?`}},
		{"large number", "", `{"a": {"arguments": {"x": 1e999}}}`, []string{"queues.a.arguments.x: the number 1e999 is too large"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := config.Sources{File: write(t, "taskq.toml", tt.file), LookupEnv: env("TASKQ_QUEUES", tt.queues)}
			_, err := tables().Load(s)
			if _, ok := errors.AsType[*config.Error](err); !ok {
				t.Fatalf("error = %v, want a *config.Error", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %q, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestFieldsAreNoSettings(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]config.Table{
		"tables without fields": {{Name: "a", Kind: config.Tables}},
		"fields without tables": {{Name: "a", Fields: config.Table{{Name: "b"}}}},
		"field with a flag":     {{Name: "a", Kind: config.Records, Fields: config.Table{{Name: "b", Flag: "b"}}}},
		"two of one name":       {{Name: "a", Kind: config.Records, Fields: config.Table{{Name: "b"}, {Name: "b"}}}},
	} {
		if err := table.Validate(); !errors.Is(err, config.ErrTable) {
			t.Errorf("%s: error = %v, want ErrTable", name, err)
		}
	}
	if err := tables().Validate(); err != nil {
		t.Errorf("a sound table: %v", err)
	}
}
