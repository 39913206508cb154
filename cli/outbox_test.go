//go:build !windows

package cli_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// outboxRows is what `outbox list -o json` prints.
type outboxRows []struct {
	ID         int64
	Task       string
	TaskID     string `json:"task_id"`
	RoutingKey string `json:"routing_key"`
	Exchange   string
	Attempts   int
	Error      string
	NotBefore  *time.Time `json:"not_before"`
}

func outboxList(t *testing.T, env map[string]string, args ...string) outboxRows {
	t.Helper()
	return decode[outboxRows](t, succeeds(t, env, append([]string{"outbox", "list", "-o", "json"}, args...)...))
}

func TestTheOutboxIsMadeListedMendedAndSent(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": testserver.AMQPVhost(t), "TASKQ_OUTBOX_URL": testserver.Postgres(t), "TASKQ_OUTBOX_SCHEMA": "queues"}
	_, _, err := inProcess(t, env, "outbox", "list")
	checkSentence(t, err, []string{"taskq outbox migrate", "TASKQ_OUTBOX_URL"})
	if cli.ExitCode(err) != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", cli.ExitCode(err), cli.Misconfigured)
	}
	if got := succeeds(t, env, "outbox", "migrate"); !strings.Contains(got, "taskq_outbox is ready") {
		t.Errorf("migrate prints %s", got)
	}
	c, err := pgx.Connect(t.Context(), env["TASKQ_OUTBOX_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	cfg := taskq.Config{BrokerURL: env["TASKQ_BROKER_URL"]}
	cfg.Outbox.Table.Schema = "queues"
	app, err := taskq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for id, opts := range map[string]task.CallOptions{
		"good": {}, "lost": {Exchange: "nowhere", RoutingKey: "k"}, "far": {Countdown: 30 * 24 * time.Hour},
	} {
		opts.ID, opts.IgnoreResult = id, true
		if _, err := app.SendTx(t.Context(), c, task.Signature{Task: "tasks.add", Args: []any{1, 2}, CallOptions: opts}); err != nil {
			t.Fatal(err)
		}
	}
	env["TASKQ_DELAY_STORE_AFTER"] = "0"
	succeeds(t, env, "send", "tasks.add", "-a", "[1, 2]", "--countdown", "3600", "--task-id", "later")
	if rows := outboxList(t, env); len(rows) != 4 || rows[3].TaskID != "later" || rows[3].NotBefore == nil || rows[3].Task != "tasks.add" {
		t.Errorf("%+v are listed", rows)
	}
	if got := succeeds(t, env, "delayed", "list"); !strings.Contains(got, "later") || !strings.Contains(got, "far") {
		t.Errorf("delayed list prints\n%s", got)
	}
	if got := succeeds(t, env, "delayed", "cancel", "later"); !strings.Contains(got, "Cancelled 1") {
		t.Errorf("delayed cancel prints %s", got)
	}
	relay := start(t, home(t, "TASKQ_BROKER_URL="+env["TASKQ_BROKER_URL"], "TASKQ_OUTBOX_URL="+env["TASKQ_OUTBOX_URL"], "TASKQ_OUTBOX_SCHEMA=queues"), "outbox", "relay")
	relay.stderr.waitFor(t, "outbox relay leads")
	var failed outboxRows
	eventually(t, "the lost one has failed", func() bool {
		failed = outboxList(t, env, "--failed")
		return len(failed) == 1 && len(outboxList(t, env)) == 2
	})
	relay.stop()
	if f := failed[0]; f.TaskID != "lost" || f.Attempts == 0 || !strings.Contains(f.Error, "nowhere") || f.Exchange != "nowhere" || f.NotBefore == nil {
		t.Errorf("failed = %+v", f)
	}
	if got := succeeds(t, env, "queues", "celery", "-o", "json"); !strings.Contains(got, `"messages": 1`) {
		t.Errorf("queues = %s, want the good one", got)
	}
	if got := succeeds(t, env, "outbox", "list"); !strings.Contains(got, "NOT BEFORE") || !strings.Contains(got, "nowhere k") {
		t.Errorf("list prints\n%s", got)
	}
	if got := succeeds(t, env, "outbox", "retry", "--all"); !strings.Contains(got, "1 call will") || len(outboxList(t, env, "--failed")) > 0 {
		t.Errorf("retry prints %s", got)
	}
	for _, r := range outboxList(t, env) {
		succeeds(t, env, "outbox", "delete", strconv.FormatInt(r.ID, 10))
	}
	if rows := outboxList(t, env); len(rows) > 0 {
		t.Errorf("%+v are left", rows)
	}
}

func TestMistakesAboutTheOutboxAreExplained(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_OUTBOX_URL": "postgres://u:s3cret@127.0.0.1:1/d", "TASKQ_BROKER_URL": "memory://"}
	for _, c := range []struct {
		env   map[string]string
		args  []string
		code  int
		words []string
	}{
		{nil, []string{"outbox", "list"}, cli.Misconfigured, []string{"--outbox", "TASKQ_OUTBOX_URL"}},
		{nil, []string{"outbox", "relay", "-b", "memory://"}, cli.Misconfigured, []string{"--outbox"}},
		{env, []string{"outbox", "list"}, cli.Unavailable, []string{"127.0.0.1", "TASKQ_OUTBOX_URL"}},
		{env, []string{"outbox", "retry"}, cli.Usage, []string{"--all"}},
		{env, []string{"outbox", "retry", "1", "--all"}, cli.Usage, []string{"their ids, or --all"}},
		{env, []string{"outbox", "delete", "x"}, cli.Usage, []string{`"x"`, "outbox list"}},
		{env, []string{"send", "tasks.add", "--outbox-url", "x"}, cli.Usage, nil},
		{map[string]string{"TASKQ_OUTBOX_URL": "mysql://u:s3cret@h/d"}, []string{"send", "tasks.add"}, cli.Misconfigured, []string{"postgres://", "TASKQ_OUTBOX_URL"}},
	} {
		_, _, err := inProcess(t, c.env, c.args...)
		if cli.ExitCode(err) != c.code || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: %v with status %d, want %d", c.args, err, cli.ExitCode(err), c.code)
			continue
		}
		checkSentence(t, err, c.words)
	}
}
