package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/cli/config"
)

func table() config.Table {
	return config.Table{
		{Name: "broker_url", Kind: config.URL, Flag: "broker", Secret: true, Aliases: []string{"CELERY_BROKER_URL"}},
		{Name: "worker.pool", Flag: "pool", Default: "goroutines", Choices: []string{"solo", "goroutines"}},
		{Name: "worker.concurrency", Kind: config.Int, Flag: "concurrency"},
		{Name: "worker.time_limit", Kind: config.Seconds},
		{Name: "worker.queues", Kind: config.List},
		{Name: "log.color", Kind: config.Switch},
	}
}

// env makes a lookup of name, value, name, value …
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for pair := range slices.Chunk(pairs, 2) {
			if pair[0] == name {
				return pair[1], true
			}
		}
		return "", false
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, s config.Sources) *config.Values {
	t.Helper()
	values, err := table().Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestStrongerSourcesWin(t *testing.T) {
	t.Parallel()
	path := write(t, "taskq.toml", "[worker]\npool = 'solo'\nconcurrency = 2\n")
	flags := map[string]string{"worker.concurrency": "4"}
	variables := []string{"TASKQ_WORKER_CONCURRENCY", "3"}
	steps := []struct {
		name   string
		source config.Sources
		want   int
		origin string
	}{
		{"default", config.Sources{}, 0, "default"},
		{"file", config.Sources{File: path}, 2, "file " + path + ":3"},
		{"environment", config.Sources{File: path, LookupEnv: env(variables...)}, 3, "environment TASKQ_WORKER_CONCURRENCY"},
		{"flag", config.Sources{File: path, LookupEnv: env(variables...), Flags: flags}, 4, "flag --concurrency"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			values := load(t, step.source)
			if got := values.Int("worker.concurrency"); got != step.want {
				t.Errorf("concurrency = %d, want %d", got, step.want)
			}
			if got := values.Origin("worker.concurrency").String(); got != step.origin {
				t.Errorf("origin = %q, want %q", got, step.origin)
			}
		})
	}
}

func TestCelerysVariablesAreWeakerThanTheFileAndItsOwn(t *testing.T) {
	t.Parallel()
	celery := []string{"CELERY_BROKER_URL", "amqp://celery"}
	if got := load(t, config.Sources{LookupEnv: env(celery...)}).Text("broker_url"); got != "amqp://celery" {
		t.Errorf("alone: %q, want Celery's", got)
	}
	path := write(t, "taskq.toml", "broker_url = 'amqp://file'\n")
	if got := load(t, config.Sources{File: path, LookupEnv: env(celery...)}).Text("broker_url"); got != "amqp://file" {
		t.Errorf("with a file: %q, want the file's", got)
	}
	both := append([]string{"TASKQ_BROKER_URL", "amqp://own"}, celery...)
	if got := load(t, config.Sources{LookupEnv: env(both...)}).Text("broker_url"); got != "amqp://own" {
		t.Errorf("with its own: %q, want its own", got)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	path := write(t, "secret", "amqp://u:pw@host\n")
	values := load(t, config.Sources{LookupEnv: env("TASKQ_BROKER_URL_FILE", path)})
	if got := values.Text("broker_url"); got != "amqp://u:pw@host" {
		t.Errorf("value = %q, want the file's without its newline", got)
	}
	if got := values.Show("broker_url"); got != "amqp://u:**@host" {
		t.Errorf("shown = %q, want it masked", got)
	}
	if got := values.Scrub("dial u:pw@host: no"); got != "dial u:**@host: no" {
		t.Errorf("scrubbed = %q, want it masked", got)
	}
	_, err := table().Load(config.Sources{LookupEnv: env("TASKQ_BROKER_URL_FILE", path, "TASKQ_BROKER_URL", "amqp://x")})
	if err == nil || !strings.Contains(err.Error(), "TASKQ_BROKER_URL is set, too") {
		t.Errorf("both set: error = %v, want one that names both", err)
	}
}

func TestFirstFileFoundIsRead(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(filepath.Join(home, "taskq"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(path, queue string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("[worker]\nqueues = ['"+queue+"']\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lookup := env("XDG_CONFIG_HOME", home)
	put(filepath.Join(home, "taskq", "taskq.toml"), "home")
	if got := load(t, config.Sources{LookupEnv: lookup}).List("worker.queues"); !slices.Equal(got, []string{"home"}) {
		t.Errorf("with a file in XDG_CONFIG_HOME: %v, want home", got)
	}
	put("taskq.toml", "here")
	if got := load(t, config.Sources{LookupEnv: lookup}).List("worker.queues"); !slices.Equal(got, []string{"here"}) {
		t.Errorf("with ./taskq.toml: %v, want here", got)
	}
	put("named.toml", "named")
	lookup = env("XDG_CONFIG_HOME", home, "TASKQ_CONFIG", "named.toml")
	if got := load(t, config.Sources{LookupEnv: lookup}).List("worker.queues"); !slices.Equal(got, []string{"named"}) {
		t.Errorf("with TASKQ_CONFIG: %v, want named", got)
	}
	put("flag.toml", "flag")
	if got := load(t, config.Sources{LookupEnv: lookup, File: "flag.toml"}).List("worker.queues"); !slices.Equal(got, []string{"flag"}) {
		t.Errorf("with --config: %v, want flag", got)
	}
}

func TestFileHoldsEveryKind(t *testing.T) {
	t.Parallel()
	path := write(t, "taskq.toml", `
broker_url = "sqlite:///tmp/x.db"
[worker]
pool = "SOLO"
concurrency = 8
time_limit = 1.5
queues = ["a", "b"]
[log]
color = true
`)
	v := load(t, config.Sources{File: path})
	if v.Text("broker_url") != "sqlite:///tmp/x.db" || v.Text("worker.pool") != "solo" || v.Int("worker.concurrency") != 8 ||
		v.Seconds("worker.time_limit") != 1500*time.Millisecond || !slices.Equal(v.List("worker.queues"), []string{"a", "b"}) || !v.On("log.color") {
		t.Errorf("values differ from the file's")
	}
}

func TestMistakesNameThePlaceAndTheRemedy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		lookup     func(string) (string, bool)
		flags      map[string]string
		from       config.From
		want       []string
	}{
		{name: "misspelt key", file: "[worker]\npol = 'solo'\n", from: config.FromFile, want: []string{"taskq.toml:2: ", `unknown key "worker.pol"`, `"worker.pool"?`, "2 | pol = …"}},
		{name: "unknown table", file: "\n[wrker]\npool = 'solo'\n", from: config.FromFile, want: []string{`unknown key "wrker.pool"`}},
		{name: "no TOML", file: "broker_url == 'amqp://u:pw@h'\n", from: config.FromFile, want: []string{"taskq.toml:1:", "1 | broker_url = …"}},
		{name: "wrong type", file: "[worker]\nconcurrency = 'many'\n", from: config.FromFile, want: []string{"taskq.toml:2: worker.concurrency:", "not a whole number"}},
		{name: "wrong shape", file: "[worker.pool]\nx = 1\n", from: config.FromFile, want: []string{"worker.pool", "neither text"}},
		{name: "negative", lookup: env("TASKQ_WORKER_CONCURRENCY", "-1"), from: config.FromEnv, want: []string{"TASKQ_WORKER_CONCURRENCY: -1 is negative"}},
		{name: "no choice", flags: map[string]string{"worker.pool": "x"}, from: config.FromFlag, want: []string{`--pool: "x" is none of solo, goroutines`}},
		{name: "no seconds", lookup: env("TASKQ_WORKER_TIME_LIMIT", "soon"), from: config.FromEnv, want: []string{"1m30s"}},
		{name: "no switch", lookup: env("TASKQ_LOG_COLOR", "maybe"), from: config.FromEnv, want: []string{"neither true nor false"}},
		{name: "no scheme", flags: map[string]string{"broker_url": "localhost"}, from: config.FromFlag, want: []string{"no scheme", "amqp://"}},
		{name: "slash in the password", flags: map[string]string{"broker_url": "amqp://u:pw/x@h"}, from: config.FromFlag, want: []string{"%-code", "u:**@h"}},
		{name: "percent in the password", flags: map[string]string{"broker_url": "amqp://u:pw%zz@h"}, from: config.FromFlag, want: []string{"%25", "u:**@h"}},
		{name: "no file", lookup: env("TASKQ_CONFIG", "/nowhere.toml"), from: config.FromFile, want: []string{"cannot read /nowhere.toml: no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := config.Sources{LookupEnv: tt.lookup, Flags: tt.flags}
			if tt.file != "" {
				s.File = write(t, "taskq.toml", tt.file)
			}
			_, err := table().Load(s)
			e, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("error = %v, want a *config.Error", err)
			}
			if e.Origin.From != tt.from {
				t.Errorf("origin = %v, want %v", e.Origin.From, tt.from)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %q, want it to contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "pw") {
				t.Errorf("error = %q, it shows the password", err)
			}
		})
	}
}

func TestTablesWithClashesAreRefused(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]config.Table{
		"names":   {{Name: "a"}, {Name: "a"}},
		"flags":   {{Name: "a", Flag: "x"}, {Name: "b", Flag: "x"}},
		"default": {{Name: "a", Kind: config.Int, Default: "x"}},
		"depth":   {{Name: "a.b.c"}},
	} {
		if err := table.Validate(); !errors.Is(err, config.ErrTable) {
			t.Errorf("%s: error = %v, want ErrTable", name, err)
		}
	}
	if err := table().Validate(); err != nil {
		t.Errorf("a sound table: %v", err)
	}
}
