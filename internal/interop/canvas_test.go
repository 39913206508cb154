package interop_test

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/worker"
)

// canvasLimit bounds how long all workflows of a client may take together.
const canvasLimit = 45 * time.Second

//go:embed testdata/canvas.py
var canvasModule string

//go:embed testdata/canvas_client.py
var canvasClient string

// stage is a worker in each language, on the queues go and python, that have the same tasks.
type stage struct {
	python  runsPython
	app     *taskq.App
	version [2]int // of Celery
}

func canvasStage(t *testing.T, backend string) stage {
	t.Helper()
	url := testserver.AMQPVhost(t)
	modules := map[string]string{"canvas.py": canvasModule, "client.py": canvasClient}
	var s stage
	if strings.HasPrefix(backend, "postgres") {
		site := testserver.NewDjango(t, testserver.DjangoConfig{Broker: url, Database: backend, Modules: modules})
		site.Manage("migrate", "--verbosity", "0")
		s.python = site
	} else {
		s.python = testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: modules, Env: []string{"CANVAS_BACKEND=" + backend}})
	}
	s.app = newAppOf(t, taskq.Config{
		BrokerURL: url, ResultBackend: backend, Logger: slog.New(slog.DiscardHandler),
		DefaultQueue: goQueue, Worker: worker.Options{Concurrency: 8},
	}, canvasTasks()...)
	runWorker(t, s.app)
	s.python.Worker("canvas", "-P", "prefork", "-c", "4", "-Q", pythonQueue, "--without-gossip", "--without-mingle")
	if _, err := fmt.Sscanf(s.python.Run("import celery; print(celery.__version__)"), "%d.%d", &s.version[0], &s.version[1]); err != nil {
		t.Fatal(err)
	}
	return s
}

// company is who takes part in a workflow.
type company struct {
	name string
	crew func(row int) crew
	// others: what Celery's workers do otherwise is not asked for.
	others bool
}

func companies() []company {
	return []company{
		{name: "all in Python", crew: func(int) crew { return allIn(pythonQueue) }, others: true},
		{name: "all in Go", crew: func(int) crew { return allIn(goQueue) }},
		{name: "mixed, Go first", crew: func(row int) crew { return mixed(2*uint64(row) + 1) }, others: true},
		{name: "mixed, Python first", crew: func(row int) crew { return mixed(2 * uint64(row)) }, others: true},
	}
}

// canvasStore is a result store, and what is tried with it.
type canvasStore struct {
	name      string
	url       func(t *testing.T) string
	rows      func() []canvasRow
	companies []company
}

func canvasStores() []canvasStore {
	all := companies()
	return []canvasStore{
		{"Redis", func(t *testing.T) string { return testserver.Redis(t) }, canvasRows, all},
		{django, func(t *testing.T) string { return testserver.Postgres(t) }, djangoRows, all[2:]},
		{"rpc", func(*testing.T) string { return "rpc://" }, uncountedRows, all[1:]},
	}
}

// djangoRows are one of each sort.
func djangoRows() []canvasRow {
	rows := slices.Concat(chordRows(), nestedRows(), replaceRows(), failureRows())
	rows = slices.DeleteFunc(rows, func(r canvasRow) bool { return r.name == "added to a chord" }) // of Celery's stores Redis alone has it
	for i, r := range rows {                                                                       // django-celery-results names the task that failed only where it still finds it, so both is right
		if reason, ok := strings.CutPrefix(r.fails, dependency); ok {
			rows[i].fails = "ChordError: " + reason
		}
	}
	return rows
}

// dependency begins the error of a chord.
const dependency = "ChordError: Dependency ID raised "

// uncountedRows need no store that counts the tasks of a chord, nor one that anybody can look at.
func uncountedRows() []canvasRow {
	return slices.DeleteFunc(slices.Concat(chainRows(), groupRows(), linkRows(), failureRows()), func(r canvasRow) bool {
		return r.flow.counted() || r.line != nil
	})
}

func TestWorkflowsComeOutTheSameWhereverTheirTasksRun(t *testing.T) {
	t.Parallel()
	for _, store := range canvasStores() {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			testWorkflows(t, store)
		})
	}
}

// testWorkflows starts each workflow from both languages.
func testWorkflows(t *testing.T, store canvasStore) {
	t.Helper()
	s := canvasStage(t, store.url(t))
	rows := store.rows()
	var python, ours []run
	dir := t.TempDir()
	for i, r := range rows { // row by row, so that those that come first do so for all
		for _, c := range store.companies {
			if s.can(r, c, pythonQueue) {
				python = append(python, r.run(t, c, i, filepath.Join(dir, "python"+strconv.Itoa(len(python)))))
			}
			if s.can(r, c, goQueue) {
				ours = append(ours, r.run(t, c, i, filepath.Join(dir, "go"+strconv.Itoa(len(ours)))))
			}
		}
	}
	var got map[string]dict
	var wg sync.WaitGroup
	wg.Go(func() { got = fromGo(t, s.app, ours) })
	asked := fromPython(t, s.python, python)
	wg.Wait()
	t.Run("started in Go", func(t *testing.T) { judgeAll(t, rows, store.companies, got) })
	for i, r := range rows {
		if r.python != nil {
			rows[i].want = r.python
		}
	}
	t.Run("started in Python", func(t *testing.T) { judgeAll(t, rows, store.companies, asked) })
}

func judgeAll(t *testing.T, rows []canvasRow, all []company, got map[string]dict) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range rows {
				if out, ran := got[c.name+"|"+r.name]; ran {
					r.judge(t, out)
				}
			}
		})
	}
}

// can reports whether the company can do the row for a client in a language.
func (s stage) can(r canvasRow, c company, client string) bool {
	return (!c.others || r.goOnly == "") && (!c.others && client == goQueue || !s.older(r.since))
}

// run is the row with its tasks where the company has them.
func (r canvasRow) run(t *testing.T, c company, number int, file string) run {
	t.Helper()
	one := run{Name: c.name + "|" + r.name, Flow: r.flow.route(c.crew(number)), Args: r.args, Line: r.line != nil, Revoke: r.revoke, File: file, Notes: len(r.notes)}
	return one.apart(t)
}

// older reports whether the Celery here came before the version.
func (s stage) older(version [2]int) bool {
	return slices.Compare(s.version[:], version[:]) < 0
}

// apart gives the workflow a file and ids of its own.
func (r run) apart(t *testing.T) (other run) {
	t.Helper()
	data, err := json.Marshal(r)
	text := strings.ReplaceAll(string(data), notesHere, r.File)
	for _, id := range r.Revoke {
		text = strings.ReplaceAll(text, id, newID())
	}
	if err = errors.Join(err, json.Unmarshal([]byte(text), &other)); err != nil {
		t.Fatal(err)
	}
	return other
}

func fromPython(t *testing.T, python runsPython, runs []run) map[string]dict {
	t.Helper()
	data, err := json.Marshal(runs)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "runs.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]dict{}
	for _, l := range lines(t, python.Run(`exec(open("client.py").read())`, path, strconv.Itoa(int(canvasLimit.Seconds())))) {
		got[l["name"].(string)] = l["out"].(dict)
	}
	return got
}

// judge compares what came of the workflow with what must.
func (r canvasRow) judge(t *testing.T, got dict) {
	t.Helper()
	want := dict{}
	if r.fails != "" {
		want["error"] = r.fails
		if failure, _ := plainly(got["error"]).(string); r.fails == "ChordError: "+strings.TrimPrefix(failure, dependency) {
			got["error"] = r.fails
		}
	} else {
		want["value"] = r.want
	}
	if r.line != nil {
		want["line"] = r.line
	}
	if r.notes != nil {
		want["notes"] = inOrder(r.notes)
		notes, _ := got["notes"].([]any)
		got["notes"] = inOrder(notes)
	}
	if diff := cmp.Diff(plainly(want), plainly(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", r.name, diff)
	}
}

func inOrder(lines []any) []any {
	return slices.SortedFunc(slices.Values(lines), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// plainly is a value as JSON has it, with ID in the place of ids.
func plainly(v any) (plain any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(anyID.ReplaceAll(data, []byte("ID")), &plain)
	}
	if err != nil {
		return err
	}
	return plain
}
