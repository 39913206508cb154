package interop_test

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/worker"
)

//go:embed testdata/matrix.py
var matrixModule string

//go:embed testdata/client.py
var matrixClient string

const (
	pythonQueue = "python"
	goQueue     = "go"
	django      = "Django"
)

// The matrix: every call is made from Python and from Go, to a Python worker and to a Go worker. What a caller sees of a Python worker
// is what it must see of the Go worker, and what Python sees of a Python worker is what Go must see of it.
func TestNobodyCanTellWhichLanguageATaskRanIn(t *testing.T) {
	t.Parallel()
	m := &matrix{cells: map[string]bool{}}
	t.Run("over", func(t *testing.T) {
		for _, b := range matrixBackends() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				m.run(t, b)
			})
		}
	})
	m.compare(t)
}

// matrixBackend is a result store that both languages use.
type matrixBackend struct {
	name string
	kept bool
	// setup returns a Python that uses the store, with matrix.py and client.py, and what Go calls the store.
	setup func(t *testing.T, brokerURL string) (python *testserver.Python, url string)
}

func matrixBackends() []matrixBackend {
	return []matrixBackend{
		{name: "rpc", setup: func(t *testing.T, brokerURL string) (*testserver.Python, string) {
			return pythonWith(t, brokerURL, "rpc://"), "rpc://"
		}},
		{name: "Redis", kept: true, setup: func(t *testing.T, brokerURL string) (*testserver.Python, string) {
			url := testserver.Redis(t)
			return pythonWith(t, brokerURL, url), url
		}},
		{name: django, kept: true, setup: func(t *testing.T, brokerURL string) (*testserver.Python, string) {
			url := testserver.Postgres(t)
			site := testserver.NewDjango(t, testserver.DjangoConfig{Broker: brokerURL, Database: url, Modules: matrixModules()})
			site.Manage("migrate", "--verbosity", "0")
			return site.Python, url
		}},
	}
}

func matrixModules() map[string]string {
	return map[string]string{"matrix.py": matrixModule, "client.py": matrixClient}
}

func pythonWith(t *testing.T, brokerURL, backend string) *testserver.Python {
	t.Helper()
	return testserver.NewPython(t, testserver.PythonConfig{
		Broker: brokerURL, Modules: matrixModules(), Env: []string{"MATRIX_BACKEND=" + backend},
	})
}

// directions are the columns of each backend: whose calls are compared with whose.
var directions = []struct{ name, client, worker, wantClient, wantWorker string }{
	{"Python → Go", pythonQueue, goQueue, pythonQueue, pythonQueue},
	{"Go → Python", goQueue, pythonQueue, pythonQueue, pythonQueue},
	{"Go → Go", goQueue, goQueue, goQueue, pythonQueue},
}

// matrix gathers the cells.
type matrix struct {
	mu      sync.Mutex
	cells   map[string]bool
	version string // of Celery
}

func cellKey(feature feature, backend, direction string) string {
	return strings.Join([]string{feature.section, feature.name, backend, direction}, "|")
}

func (m *matrix) run(t *testing.T, b matrixBackend) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	url := testserver.AMQPVhost(t)
	python, backend := b.setup(t, url)
	m.note(strings.TrimSpace(python.Run("import celery; print(celery.__version__)")))
	config := taskq.Config{
		BrokerURL: url, ResultBackend: backend, Accept: []string{"json", "msgpack"}, Logger: slog.New(slog.DiscardHandler),
		Worker: worker.Options{Concurrency: 8, Queues: []string{goQueue}, ResultExtended: true},
	}
	app := newAppOf(t, config)
	if err := app.Register(matrixTasks(app)...); err != nil {
		t.Fatal(err)
	}
	bindMatrix(ctx, t, app)
	runWorker(t, app)
	python.Worker("matrix", "-P", "prefork", "-c", "8", "-Q", pythonQueue, "--without-gossip", "--without-mingle")

	settings := map[string]*setting{}
	var wg sync.WaitGroup
	outcomes := map[string]map[string]any{} // by client and worker
	var mu sync.Mutex
	for _, queue := range []string{pythonQueue, goQueue} {
		for _, client := range []string{pythonQueue, goQueue} {
			settings[client+queue] = &setting{queue: queue, other: opposite(queue), dir: t.TempDir(), store: b.name, kept: b.kept, names: map[string]string{}}
		}
		s := settings[goQueue+queue]
		calls := callsFor(s)
		wg.Go(func() {
			got := s.neutral(goClient{app}.make(ctx, calls)).(map[string]any)
			mu.Lock()
			defer mu.Unlock()
			outcomes[goQueue+queue] = got
		})
	}
	both := pythonCalls(t, python, slices.Concat(callsFor(settings[pythonQueue+pythonQueue]), callsFor(settings[pythonQueue+goQueue])))
	wg.Wait()
	for queue, got := range both {
		outcomes[pythonQueue+queue] = settings[pythonQueue+queue].neutral(got).(map[string]any)
	}
	m.judge(t, b, outcomes)
}

func (m *matrix) note(version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version = version
}

// bindMatrix declares what the workers would: their queues, and a topic exchange in front of them.
func bindMatrix(ctx context.Context, t *testing.T, app *taskq.App) {
	t.Helper()
	b, err := app.Broker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	topology := broker.Topology{Exchanges: []broker.Exchange{{Name: "matrix", Kind: broker.Topic}}}
	for _, queue := range []string{pythonQueue, goQueue} {
		own := broker.TaskQueue(broker.Queue{Name: queue})
		topology.Exchanges = append(topology.Exchanges, own.Exchanges...)
		topology.Queues = append(topology.Queues, own.Queues...)
		topology.Bindings = append(topology.Bindings, own.Bindings...)
		topology.Bindings = append(topology.Bindings, broker.Binding{Exchange: "matrix", Queue: queue, Key: queue + ".#"})
	}
	if err := b.Declare(ctx, topology); err != nil {
		t.Fatal(err)
	}
}

func callsFor(s *setting) []call {
	var calls []call
	for _, f := range features() {
		if !f.asks(s.store, s.kept) {
			continue
		}
		one := f.call(s)
		one.Name, one.Queue = f.section+"|"+f.name, s.queue
		calls = append(calls, one)
	}
	return calls
}

func opposite(queue string) string {
	if queue == goQueue {
		return pythonQueue
	}
	return goQueue
}

// pythonCalls makes the calls from a Python client. It returns the outcomes by queue and name.
func pythonCalls(t *testing.T, python *testserver.Python, calls []call) map[string]map[string]any {
	t.Helper()
	data, err := codec.JSON{}.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "calls.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]map[string]any{pythonQueue: {}, goQueue: {}}
	for line := range strings.Lines(python.Run(`exec(open("client.py").read())`, path)) {
		var one struct {
			Name  string `json:"name"`
			Queue string `json:"queue"`
			Out   any    `json:"out"`
		}
		if err := (codec.JSON{}).Unmarshal([]byte(line), &one); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		outcomes[one.Queue][one.Name] = one.Out
	}
	return outcomes
}

// neutral takes out of an outcome what differs from call to call.
func (s *setting) neutral(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = s.neutral(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = s.neutral(e)
		}
		return out
	case string:
		return s.neutralText(v)
	case nil, bool:
		return v
	}
	if n, ok := new(big.Rat).SetString(fmt.Sprint(v)); ok { // 30 and 30.0 are the same number
		return n.RatString()
	}
	return fmt.Sprintf("%T %v", v, v)
}

func (s *setting) neutralText(text string) string {
	if name, ok := s.names[text]; ok {
		return name
	}
	if len(text) == 36 && strings.Count(text, "-") == 4 {
		return "AN ID"
	}
	switch text {
	case s.queue:
		return "THE QUEUE"
	case s.other:
		return "THE OTHER QUEUE"
	case "taskq.delay.due": // what a call comes by that Go delayed, to whoever looks: docs/delays.md
		return ""
	}
	if rest, ok := strings.CutPrefix(text, s.queue+"."); ok {
		return "THE QUEUE." + rest
	}
	return text
}

// judge compares the outcomes and fills the cells.
func (m *matrix) judge(t *testing.T, b matrixBackend, outcomes map[string]map[string]any) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range features() {
		if !f.asks(b.name, b.kept) {
			continue
		}
		name := f.section + "|" + f.name
		for _, d := range directions {
			want, got := outcomes[d.wantClient+d.wantWorker][name], outcomes[d.client+d.worker][name]
			if f.vague {
				want, got = vague(want), vague(got)
			}
			if diff := cmp.Diff(want, got); diff != "" || broken(got) {
				t.Errorf("%s: %s: %s (-as it should be, +%s):\n%s\nfrom %v", b.name, f.section, f.name, d.name, diff, want)
				continue
			}
			m.cells[cellKey(f, b.name, d.name)] = true
		}
	}
}

// vague takes out the words of an error.
func vague(v any) any {
	out, ok := v.(map[string]any)
	if failure, failed := out["error"].(map[string]any); ok && failed {
		out, failure = maps.Clone(out), maps.Clone(failure)
		delete(failure, "args")
		out["error"] = failure
		return out
	}
	return v
}

func broken(v any) bool {
	out, ok := v.(map[string]any)
	return !ok || out["broken"] != nil
}
