package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
)

// inProcess runs the command line within the test, without the environment of the process.
func inProcess(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	root := cli.New("myapp", register, cli.Environ(func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}))
	root.SetArgs(args)
	root.SetIn(strings.NewReader(""))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestEachMistakeIsOneSentenceWithItsExitStatus(t *testing.T) {
	t.Parallel()
	misspelt := filepath.Join(t.TempDir(), "taskq.toml")
	if err := os.WriteFile(misspelt, []byte("[worker]\nconcurency = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want []string
	}{
		{"wroker", cli.Usage, []string{`unknown command "wroker"`, `"worker"?`}},
		{"wroker --nosuch", cli.Usage, []string{`unknown command "wroker"`}},
		{"--nosuch", cli.Usage, []string{"unknown flag --nosuch", "`myapp --help`"}},
		{"worker --concurency 3", cli.Usage, []string{"unknown flag --concurency", "--concurrency?"}},
		{"worker -Z", cli.Usage, []string{"unknown flag -Z"}},
		{"worker -c", cli.Usage, []string{"--concurrency needs a value"}},
		{"worker -c many", cli.Usage, []string{`--concurrency: "many" is not a whole number`}},
		{"worker -P solo -c 4", cli.Usage, []string{"solo pool has one slot", "-P threads"}},
		{"worker -P prefork", cli.Usage, []string{`"prefork" is not available`, "threads"}},
		{"worker --result-backend django-db", cli.Usage, []string{"--result-backend: ", "postgres://user@host/name"}},
		{"worker --result-backend mongo", cli.Usage, []string{"--result-backend: not a URL", "redis://host:6379/0"}},
		{"worker -b memory:// --result-backend localhost:6379", cli.Misconfigured, []string{"without a scheme", "redis://host", "(flag --result-backend)"}},
		{
			"result x -b memory:// --result-backend rediss://:hush@h/0?ssl_cert_reqs=none", cli.Misconfigured,
			[]string{"ssl_cert_reqs", "ssl_ca_certs", "(flag --result-backend)"},
		},
		{"worker -P turbo", cli.Usage, []string{`unknown pool "turbo"`, "solo, threads and goroutines"}},
		{"worker --time-limit 1 --soft-time-limit 2", cli.Usage, []string{"soft time limit", "above the hard one"}},
		{"worker --delivery-limit 1", cli.Usage, []string{"delivery limit 1", "at least 2"}},
		{"dead replay", cli.Usage, []string{"which dead letters", "--all"}},
		{"dead replay --task [", cli.Usage, []string{`--task: "["`}},
		{"dead replay --all --limit -1", cli.Usage, []string{"--limit: -1 is negative"}},
		{"dead list --limit 0", cli.Usage, []string{"--limit: 0"}},
		{"dead show", cli.Usage, []string{"needs ID"}},
		{"dead lits", cli.Usage, []string{`unknown command "lits"`, `"list"?`}},
		{"delayed list --limit 0", cli.Usage, []string{"--limit: 0"}},
		{"delayed list --task [", cli.Usage, []string{`--task: "["`}},
		{"delayed cancel", cli.Usage, []string{"needs ID"}},
		{"delayed cancel x -b memory://", cli.Failure, []string{"no delayed task with the id x"}},
		{"dead purge", cli.Usage, []string{"delete all messages of celery.dead", "--force"}},
		{"dead list -b memory://", cli.Failure, []string{"no queue celery.dead", "--dead-letters"}},
		{"worker --loglevel loud", cli.Usage, []string{`--loglevel: "loud" is none of`}},
		{"worker -Q a -X a", cli.Usage, []string{"no queue is left"}},
		{"worker -Q a:1,b,a:2", cli.Usage, []string{"the queue a has the weights 1 and 2"}},
		{"worker -S /dev/null/state", cli.CannotCreate, []string{"state file: ", "/dev/null/state: not a directory", "--statedb"}},
		{"outbox list --outbox mysql://u:hush@h/x", cli.Misconfigured, []string{"mysql://u:**@h/x", "postgres://"}},
		{"outbox list --outbox postgres://u:hush@127.0.0.1:1/x", cli.Unavailable, []string{"start PostgreSQL there or correct the URL", "--outbox"}},
		{"revoke x -d a@h,b@h --timeout 0.01", cli.Unavailable, []string{"none of a@h, b@h is connected", "--timeout"}},
		{"worker -Q a:0,b", cli.Usage, []string{`worker.queues: "a:0"`, "a:0:1"}},
		{"queues -Q :3", cli.Usage, []string{"a weight without a queue"}},
		{"worker -Q a:3,b --queue-order strict", cli.Usage, []string{"worker.queue_order", "leave one of the two out"}},
		{"worker --queue-order random", cli.Usage, []string{"--queue-order", `"random"`, "strict"}},
		{"worker --consumer-priority high", cli.Usage, []string{"--consumer-priority", "whole number"}},
		{"worker stray", cli.Usage, []string{`unexpected argument "stray"`}},
		{"worker --color sometimes", cli.Usage, []string{"--color"}},
		{"worker --workdir /nowhere", cli.Usage, []string{"--workdir: /nowhere: no such file or directory"}},
		{"config --config /nowhere.toml", cli.Misconfigured, []string{"cannot read /nowhere.toml: no such file"}},
		{"config --config " + misspelt, cli.Misconfigured, []string{"taskq.toml:2: ", `"worker.concurrency"?`, "2 | concurency"}},
		{"send", cli.Usage, []string{"needs NAME"}},
		{"send tasks.add 2 3", cli.Usage, []string{`unexpected argument "2"`}},
		{`send tasks.add --args [2,`, cli.Usage, []string{"--args: not JSON, it ends too early", "character 4"}},
		{`send tasks.add --args [2,x]`, cli.Usage, []string{"--args: not JSON", "at character 4, [2,«here»x]"}},
		{`send tasks.add --args [2]x`, cli.Usage, []string{"more behind", "character 4"}},
		{`send tasks.add --args {"x":2}`, cli.Usage, []string{"--args: wanted is a JSON array"}},
		{`send tasks.add --kwargs [2]`, cli.Usage, []string{"--kwargs: wanted is a JSON object"}},
		{"send tasks.add --priority 300", cli.Usage, []string{`"300" is not a number from 0 to 255`}},
		{"send tasks.add --countdown -1", cli.Usage, []string{"--countdown: -1 is negative"}},
		{"send tasks.add --eta soon", cli.Usage, []string{"--eta:", `"soon"`, "2026-11-22T11:13:58Z"}},
		{"send tasks.add --expires soon", cli.Usage, []string{`--expires: "soon" is neither`}},
		{"send tasks.add --time-limit 1 --soft-time-limit 2", cli.Usage, []string{"soft time limit 2s is above the hard one, 1s"}},
		{"send tasks.add --soft-time-limit soon", cli.Usage, []string{`--soft-time-limit: "soon" is not a number of seconds`}},
		{"send tasks.add --queue a --exchange b", cli.Usage, []string{"--queue and --exchange", "a queue or to an exchange"}},
		{"send tasks.add --routing-key b", cli.Usage, []string{"--routing-key without --exchange", "use --queue"}},
		{"send tasks.add --countdown 1 --eta 2026-11-22T11:13:58Z", cli.Usage, []string{"--countdown and --eta", "one of them"}},
		{"send tasks.add --wait --ignore-result", cli.Usage, []string{"--wait and --ignore-result", "no result"}},
		{"send tasks.add --wait --reply-to q", cli.Usage, []string{"--wait and --reply-to", "elsewhere"}},
		{"send tasks.add --no-retry --publish-retries 2", cli.Usage, []string{"--no-retry and --publish-retries", "one of them"}},
		{"send tasks.add --publish-retries -1", cli.Usage, []string{`--publish-retries: "-1" is not a number from 0 to 255`}},
		{"send tasks.add --header x", cli.Usage, []string{`--header: wanted is NAME=text or NAME:=JSON, not "x"`}},
		{"send tasks.add --header =x", cli.Usage, []string{"--header: wanted is NAME=text"}},
		{"send tasks.add --header x:=[1,", cli.Usage, []string{"--header: x: not JSON, it ends too early", "character 4"}},
		{"send tasks.add --header x:=[1,y]", cli.Usage, []string{"--header: x: not JSON", "at character 4, [1,«here»y]"}},
		{"send tasks.add --header x:=1e999", cli.Usage, []string{"--header: x: the number is too large"}},
		{"send tasks.add --header x:=", cli.Usage, []string{"--header: x: there is no JSON"}},
		{"send tasks.add -b memory:// --header id=1", cli.Usage, []string{"header id: the name is Celery's own"}},
		{"send tasks.add -b memory:// --serializer pickle", cli.Usage, []string{"pickle", "json, msgpack"}},
		{"send tasks.add -b memory:// --compression lzma", cli.Usage, []string{"lzma", "zlib, zstd or none"}},
		{"send tasks.add --stamp x", cli.Usage, []string{"--stamp: wanted is NAME=text"}},
		{`send tasks.add --link {"task":`, cli.Usage, []string{"--link: not JSON, it ends too early", "character 9"}},
		{`send tasks.add --link {"task":x}`, cli.Usage, []string{"--link: not JSON", "at character 9", "«here»x}"}},
		{`send tasks.add --link ["tasks.add"]`, cli.Usage, []string{"--link: wanted is a JSON object like"}},
		{`send tasks.add --link {}`, cli.Usage, []string{`--link: "task" must be the name of a task`}},
		{`send tasks.add --link {"task":"t","arg":[1]}`, cli.Usage, []string{`--link: unknown name "arg"; did you mean "args"?`}},
		{`send tasks.add --link {"task":"t","args":{"x":1}}`, cli.Usage, []string{"--link: t: args"}},
		{`send tasks.add --link {"task":"t","options":[1]}`, cli.Usage, []string{`"options" must be an object`, "[1]"}},
		{`send tasks.add --link {"task":"t","options":{"prority":1}}`, cli.Usage, []string{`"prority"; did you mean "priority"?`}},
		{`send tasks.add --link-error {"task":"t","options":{"zzz":1}}`, cli.Usage, []string{`--link-error: "zzz" is none of task_id, queue`}},
		{`send tasks.add --link-error {"task":"t","options":{"time_limit":1,"soft_time_limit":2}}`, cli.Usage, []string{"link_error[0]: the soft time limit 2s"}},
		{"send tasks.add -o xml", cli.Usage, []string{`--output: "xml"`}},
		{"result", cli.Usage, []string{"needs ID"}},
		{"result x -b memory://", cli.Misconfigured, []string{"memory://", "--result-backend"}},
		{"completion tcsh", cli.Usage, []string{`unknown shell "tcsh"`}},
		{"purge", cli.Usage, []string{"delete all messages of celery", "--force"}},
		{"queues -b localhost", cli.Usage, []string{"--broker:", "no scheme"}},
		{"queues -b amqp://u:hush@h:x/", cli.Usage, []string{"port is not a number", "u:**@h"}},
		{"queues -b amqp://u:hush/x@h/", cli.Usage, []string{"%-code", "u:**@h"}},
		{"queues -b kafka://u:hush@h/", cli.Misconfigured, []string{"kafka", "amqp"}},
		{"queues -b redis://u:hush@h/", cli.Misconfigured, []string{"redis", "amqp"}},
		{"queues -b sqlite:///dev/null/x.db", cli.CannotCreate, []string{"the store cannot be opened", "/dev/null", "--broker"}},
		{"queues --result-backend db+mysql://u:hush@h/", cli.Misconfigured, []string{"db+mysql", "rpc"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			_, stderr, err := inProcess(t, nil, strings.Fields(tt.args)...)
			if got := cli.ExitCode(err); got != tt.code {
				t.Errorf("exit status = %d, want %d (%v)", got, tt.code, err)
			}
			checkSentence(t, err, tt.want)
			if strings.Contains(stderr, "hush") {
				t.Errorf("stderr shows the password: %s", stderr)
			}
		})
	}
}

func TestMistakesOfTheEnvironmentAreBadConfiguration(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"TASKQ_WORKER_CONCURRENCY": "many", "CELERY_WORKER_CONCURRENCY": "many", "TASKQ_BROKER_URL": "localhost", "TASKQ_WORKER_POOL": "turbo",
	} {
		_, _, err := inProcess(t, map[string]string{name: value}, "config")
		if got := cli.ExitCode(err); got != cli.Misconfigured {
			t.Errorf("%s=%s: exit status = %d, want %d (%v)", name, value, got, cli.Misconfigured, err)
		}
		checkSentence(t, err, []string{name + ": "})
	}
}

func TestMissingKeyIsNotBlamedOnTheBroker(t *testing.T) {
	t.Parallel()
	_, _, err := inProcess(t, map[string]string{"TASKQ_BROKER_URL": "memory://", "TASKQ_TASK_SERIALIZER": "auth"}, "worker")
	if got := cli.ExitCode(err); got != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", got, cli.Misconfigured)
	}
	checkSentence(t, err, []string{"security_key is not set"})
	if strings.Contains(err.Error(), "TASKQ_BROKER_URL") {
		t.Errorf("error = %q, it blames the broker's URL", err)
	}
}

func TestRefusedConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"send", "tasks.add"}, {"queues"}, {"purge", "--force"}} {
		_, stderr, err := inProcess(t, map[string]string{"TASKQ_BROKER_URL": "amqp://u:hush@" + address + "//"}, args...)
		if got := cli.ExitCode(err); got != cli.Unavailable {
			t.Errorf("%v: exit status = %d, want %d (%v)", args, got, cli.Unavailable, err)
		}
		checkSentence(t, err, []string{"u:**@" + address, "TASKQ_BROKER_URL", "refused"})
		if strings.Contains(stderr, "hush") {
			t.Errorf("stderr shows the password: %s", stderr)
		}
	}
}

func TestALimitStoreThatCannotBeIsNamedWithItsOrigin(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"rpc://u:hush@h/":      "redis://, postgres://",
		"redis://u:hush@h/dir": "number of the database",
	} {
		_, stderr, err := inProcess(t, map[string]string{"TASKQ_BROKER_URL": "memory://", "TASKQ_LIMIT_STORE": url}, "queues")
		if got := cli.ExitCode(err); got != cli.Misconfigured {
			t.Errorf("%s: exit status = %d, want %d (%v)", url, got, cli.Misconfigured, err)
		}
		checkSentence(t, err, []string{"limit store", want, "TASKQ_LIMIT_STORE"})
		if strings.Contains(stderr, "hush") {
			t.Errorf("stderr shows the password: %s", stderr)
		}
	}
}

// checkSentence looks for the words, and for what must not be there.
func checkSentence(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("error = %q, want it to contain %q", text, w)
		}
	}
	for _, bad := range []string{"hush", "goroutine ", "Usage:", "%!"} {
		if strings.Contains(text, bad) {
			t.Errorf("error = %q, it contains %q", text, bad)
		}
	}
}
