package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/cli/config"
)

// succeeds runs the command line within the test.
func succeeds(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	stdout, _, err := inProcess(t, env, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return stdout
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return v
}

func TestTasksAreListedWithTheirSignatures(t *testing.T) {
	t.Parallel()
	table := succeeds(t, nil, "tasks")
	for _, want := range []string{"tasks.add ", "(x int, y int) int", "add two numbers", "(text string, loud bool = …) string", "(runs elsewhere)"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	list := decode[[]struct{ Name, Signature string }](t, succeeds(t, nil, "tasks", "--json"))
	if list[0].Name != "python.add" || list[1].Name != "tasks.add" || list[1].Signature != "(x int, y int) int" {
		t.Errorf("JSON = %v", list)
	}
}

func TestConfigShowsOriginsAndMasksPasswords(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "amqp://u:hush@h//", "CELERY_RESULT_BACKEND": "rpc://", "TASKQ_LIMIT_STORE": "redis://:hush@h/1"}
	table := succeeds(t, env, "config", "--show-origin", "--log-format", "json")
	for _, want := range []string{"amqp://u:**@h//", "environment TASKQ_BROKER_URL", "environment CELERY_RESULT_BACKEND", "redis://:**@h/1", "flag --log-format", "default"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if strings.Contains(table, "hush") {
		t.Errorf("the password is shown:\n%s", table)
	}
	settings := decode[[]struct{ Name, Value, Env, Flag string }](t, succeeds(t, env, "config", "-o", "json"))
	if s := settings[0]; s.Name != "broker_url" || s.Value != "amqp://u:**@h//" || s.Env != "TASKQ_BROKER_URL" || s.Flag != "--broker" {
		t.Errorf("JSON = %v", s)
	}
}

func TestQueuesTellDepthAndMissingOnes(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	succeeds(t, env, "send", "tasks.add")
	succeeds(t, env, "send", "anything.unknown", "--queue", "mail")
	queues := decode[[]struct {
		Queue    string
		Exists   bool
		Messages int
	}](t, succeeds(t, env, "queues", "celery", "mail", "none", "-o", "json"))
	if queues[0].Messages != 1 || queues[1].Messages != 1 || !queues[1].Exists || queues[2].Exists {
		t.Errorf("queues = %v, want one message in celery, one in mail, and none missing", queues)
	}
	if table := succeeds(t, env, "queues", "none"); !strings.Contains(table, "does not exist yet") {
		t.Errorf("table = %q, want it to say that the queue is missing", table)
	}
	if got := succeeds(t, env, "purge", "--force", "-Q", "celery,mail"); got != "Purged 2 messages from 2 known task queues.\n" {
		t.Errorf("purge prints %q", got)
	}
	if got := succeeds(t, env, "purge", "-f"); got != "No messages purged from 1 queue\n" {
		t.Errorf("purge of an empty queue prints %q", got)
	}
}

func TestResultsThatNobodyKeepsAreExplained(t *testing.T) {
	t.Parallel()
	_, _, err := inProcess(t, nil, "result", "x", "-b", "amqp://localhost//")
	if cli.ExitCode(err) != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", cli.ExitCode(err), cli.Misconfigured)
	}
	checkSentence(t, err, []string{"rpc://", "send --wait"})
	_, _, err = inProcess(t, nil, "result", "x", "-b", "memory://", "--result-backend", "disabled://")
	if cli.ExitCode(err) != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d (%v)", cli.ExitCode(err), cli.Misconfigured, err)
	}
	checkSentence(t, err, []string{"no result store", "--result-backend"})
}

func TestVersionComesFromTheBuild(t *testing.T) {
	t.Parallel()
	v := decode[struct{ Version, Go, Platform string }](t, succeeds(t, nil, "version", "-o", "json"))
	if !strings.HasPrefix(v.Go, "go1.") || !strings.Contains(v.Platform, "/") || v.Version == "" {
		t.Errorf("version = %v", v)
	}
	if got := succeeds(t, nil, "--version"); !strings.HasPrefix(got, "myapp version ") {
		t.Errorf("--version prints %q", got)
	}
}

func TestCompletionScriptsAndNames(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := succeeds(t, nil, "completion", shell); !strings.Contains(script, "myapp") || len(script) < 1000 {
			t.Errorf("%s: %d bytes", shell, len(script))
		}
	}
	if names := succeeds(t, nil, "__complete", "send", "tasks.a"); !strings.Contains(names, "tasks.add\n") {
		t.Errorf("completion of a task's name = %q", names)
	}
	if names := succeeds(t, nil, "__complete", "completion", ""); !strings.Contains(names, "zsh\n") {
		t.Errorf("completion of a shell = %q", names)
	}
	if words := succeeds(t, nil, "__complete", "worker", "--queue-order", ""); !strings.Contains(words, "strict\n") {
		t.Errorf("completion of an order = %q", words)
	}
	if words := succeeds(t, nil, "__complete", "send", "--log-format", ""); !strings.Contains(words, "json\n") {
		t.Errorf("completion of a format = %q", words)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	root := cli.New("myapp", register)
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		text := succeeds(t, nil, append(path, "--help")...)
		for _, want := range []string{"Usage:\n  " + cmd.CommandPath(), "Examples:\n  myapp ", "Global flags:", "--broker url"} {
			if !strings.Contains(text, want) {
				t.Errorf("help of %q has no %q:\n%s", cmd.CommandPath(), want, text)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

func TestProgramsCanBeExtended(t *testing.T) {
	t.Parallel()
	set := ""
	root := cli.New("myapp", nil, cli.Environ(func(string) (string, bool) { return "", false }), cli.Extend(cli.Extension{
		Settings: []config.Key{{Name: "shop.currency", Flag: "currency", Default: "EUR", Help: "money"}},
		Setup: func(s *cli.Session, app *taskq.App) error {
			set = s.Config.Text("shop.currency")
			return register(app)
		},
	}))
	root.SetArgs([]string{"tasks"})
	root.SetOut(&strings.Builder{})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if set != "EUR" {
		t.Errorf("the extension's setting = %q, want its default", set)
	}
	if flag, _, err := root.Find([]string{"worker"}); err != nil || flag.Flags().Lookup("currency") == nil {
		t.Errorf("worker has no flag --currency (%v)", err)
	}
}
