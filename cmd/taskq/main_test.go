package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

// asProgram makes the test's own binary the program taskq.
const asProgram = "TASKQ_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is taskq in an environment where nothing else is configured.
type program struct {
	t   *testing.T
	env []string
}

func newProgram(t *testing.T, env ...string) program {
	t.Helper()
	dir := t.TempDir()
	return program{t, append([]string{asProgram + "=1", "HOME=" + dir, "XDG_STATE_HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)}
}

func (p program) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), 60*time.Second) // the worker outlives the test
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...) //nolint:gosec // the test's own binary
	cmd.Env, cmd.Dir = p.env, p.t.TempDir()
	return cmd
}

func (p program) run(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit status says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (p program) must(args ...string) string {
	p.t.Helper()
	stdout, stderr, code := p.run(args...)
	if code != 0 {
		p.t.Fatalf("%s: exit status %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// worker runs a worker until the test ends. What is sent before it consumes waits for it.
func (p program) worker(args ...string) {
	p.t.Helper()
	cmd := p.command(append([]string{"worker", "-P", "solo"}, args...)...)
	cmd.Stdout, cmd.Stderr = p.t.Output(), p.t.Output()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			p.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("worker: %v", err)
		}
	})
}

type row struct {
	Path      string    `json:"path"`
	QueryStr  string    `json:"query_str"`
	Address   string    `json:"address"`
	UserAgent string    `json:"user_agent"`
	ATime     time.Time `json:"atime"`
}

func (p program) rows() []row {
	p.t.Helper()
	var rows []row
	if err := json.Unmarshal([]byte(p.must("accessrecord", "list", "-o", "json")), &rows); err != nil {
		p.t.Fatal(err)
	}
	return rows
}

const stored = "访问记录添加成功"

func TestVisitsAreStoredInTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	if rows := p.rows(); len(rows) != 0 {
		t.Fatalf("a fresh store has %d rows", len(rows))
	}
	p.worker()
	if got := p.must("send", "access_record", "--wait", "--timeout", "20"); got != stored {
		t.Errorf("result = %q, want %q", got, stored)
	}
	p.must("call", "access_record", "--path", "/articles/42", "--query-str", "page=2", "--atime", "2026-11-22T11:13:58+08:00", "--wait", "--timeout", "20")
	p.must("send", "access_record", "--data", `{"path": "/data", "address": "::1"}`, "--address", "203.0.113.7", "--wait", "--timeout", "20")
	p.must("send", "access_record", "--kwargs", `{"data": {"path": "/kwargs"}}`, "--wait", "--timeout", "20")

	rows := p.rows() // the newest visit first, and that of --atime is the oldest
	if len(rows) != 4 {
		t.Fatalf("%d rows, want 4", len(rows))
	}
	if rows[0].Path != "/kwargs" || rows[0].Address != "unknown" || rows[0].UserAgent != "unknown" {
		t.Errorf("row of --kwargs = %+v, want the defaults of the site", rows[0])
	}
	if rows[1].Path != "/data" || rows[1].Address != "203.0.113.7" {
		t.Errorf("row of --data = %+v, want the flag to win over it", rows[1])
	}
	if want := time.Date(2026, 11, 22, 3, 13, 58, 0, time.UTC); !rows[3].ATime.Equal(want) || rows[3].QueryStr != "page=2" {
		t.Errorf("row of the flags = %+v", rows[3])
	}
	if rows[2].Path == "" || rows[2].Address == "unknown" {
		t.Errorf("row of no flags = %+v, want a plausible visit", rows[2])
	}
	if table := p.must("accessrecord", "list", "-N", "1"); !strings.HasPrefix(table, "ID ") || !strings.Contains(table, "/kwargs") || strings.Contains(table, "/data") {
		t.Errorf("table = %q, want the newest row alone", table)
	}
}

func TestVisitsAreStoredInPostgreSQL(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "TASKQ_DATABASE_URL="+testserver.Postgres(t))
	if got := p.must("accessrecord", "migrate"); !strings.Contains(got, "ready") {
		t.Errorf("migrate prints %q", got)
	}
	p.worker()
	if got := p.must("send", "access_record", "--path", "/pg", "--wait", "--timeout", "20"); got != stored {
		t.Errorf("result = %q, want %q", got, stored)
	}
	if rows := p.rows(); len(rows) != 1 || rows[0].Path != "/pg" {
		t.Errorf("rows = %+v, want the one visit", rows)
	}
}

func TestMistakesWithVisitsAreOneSentence(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"send", "access_record", "--data", "{"}, 64, "--data: wanted is a JSON object"},
		{[]string{"send", "access_record", "--data", "[]"}, 64, "--data: wanted is a JSON object"},
		{[]string{"send", "access_record", "--data", `{"path":}`}, 64, "at character 9"},
		{[]string{"send", "access_record", "--atime", "soon"}, 64, `--atime: "soon"`},
		{[]string{"send", "access_record", "--pathh", "/"}, 64, "did you mean --path?"},
		{[]string{"send", "access_record", "stray"}, 64, `unexpected argument "stray"`},
		{[]string{"accessrecord", "lst"}, 64, `did you mean "list"?`},
		{[]string{"accessrecord", "list", "-N", "0"}, 64, "--number"},
		{[]string{"accessrecord", "list", "--database", "mysql://u:hush@h/db"}, 78, "want postgres://"},
		{[]string{"accessrecord", "list", "--database", "postgres://u:hush@127.0.0.1:1/db"}, 69, "refused"},
		{[]string{"accessrecord", "migrate", "--database", "postgres://u:hush@127.0.0.1:1/db"}, 69, "TASKQ_DATABASE_URL"},
	} {
		stdout, stderr, code := p.run(tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: exit status %d, want %d and %q: %s", tt.args, code, tt.code, tt.want, stderr)
		}
		if strings.Contains(stdout+stderr, "hush") {
			t.Errorf("%v shows the password: %s%s", tt.args, stdout, stderr)
		}
	}
}

func TestWrongDatabasePasswordIsBadConfiguration(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	p := newProgram(t, "TASKQ_DATABASE_URL="+address)
	_, stderr, code := p.run("accessrecord", "list", "--database", strings.Replace(address, "postgres://", "postgres://nobody:hush@x", 1))
	if code == 0 || strings.Contains(stderr, "hush") {
		t.Errorf("exit status = %d, stderr = %s", code, stderr)
	}
}
