package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// pythonsWorkflow is what json.dumps(chain(add.s(2, 2), group(add.s(3), add.s(4).set(queue="slow", countdown=5)),
// tsum.s().on_error(add.si(1, 1)), add.chunks([(1, 2), (3, 4)], 1))) printed in Celery 5.2.
const pythonsWorkflow = `{"task": "celery.chain", "args": [], "kwargs": {"tasks": [
{"task": "t.add", "args": [2, 2], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false},
{"task": "celery.chord", "args": [], "kwargs": {"kwargs": {}, "header": [
{"task": "t.add", "args": [3], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false},
{"task": "t.add", "args": [4], "kwargs": {}, "options": {"queue": "slow", "countdown": 5}, "subtask_type": null, "immutable": false}],
"body": {"task": "t.tsum", "args": [], "kwargs": {}, "options": {"link_error": [{"task": "t.add", "args": [1, 1], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": true}]}, "subtask_type": null, "immutable": false}},
"options": {}, "subtask_type": "chord", "immutable": false},
{"task": "celery.chunks", "args": [], "kwargs": {"task": {"task": "t.add", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}, "it": [[1, 2], [3, 4]], "n": 1}, "options": {}, "subtask_type": null, "immutable": true}
]}, "options": {}, "subtask_type": "chain", "immutable": false}`

// workflowFile writes a workflow to a file.
func workflowFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flow.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func written(t *testing.T, s task.Signature) string {
	t.Helper()
	raw, err := wire.EncodeSignature(s, codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAWorkflowOfPythonIsShownAsATree(t *testing.T) {
	t.Parallel()
	want := `t.add(2, 2) | %tsum([add(3), add(4)]) | celery.chunks(it=[[1, 2], [3, 4]], n=1, task=add())

chain
├─ 1. t.add(2, 2)
├─ 2. chord
│  ├─ t.add(…, 3)
│  ├─ t.add(…, 4)               queue=slow  countdown=5s
│  └─ then t.tsum(…)
│     └─ on error: t.add(1, 1)  immutable
└─ 3. chunks t.add(…)           2 items in parts of 1
`
	if got := succeeds(t, nil, "canvas", "show", workflowFile(t, pythonsWorkflow)); got != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}

func TestAWorkflowOfOursIsShownAsATree(t *testing.T) {
	t.Parallel()
	add := func(args ...any) task.Signature { return task.Signature{Task: "add", Args: args} }
	hidden := add("secret").With(task.ArgsRepr("('…',)"), task.Priority(3), task.IgnoreResult(), task.Stamp("run", 5))
	header := canvas.Group(add(1), hidden).With(task.Queue("sums"))
	flow := task.Signature{Task: "celery.chain", Type: "chain", Tasks: []task.Signature{
		canvas.Chord([]task.Signature{header}, canvas.Chain(add(2), add(3))),
		canvas.Group(add(4), task.Signature{Task: "celery.chain", Type: "chain", Immutable: true, Tasks: []task.Signature{add(5), add(7)}}), add(6),
	}}.With(task.Link(task.Signature{Task: "tell"}), task.LinkError(task.Signature{Task: "mail", Args: []any{"ops"}}))
	want := `%(add([add(1), add('…')], 2) | add(3)) | group([add(4), add(5) | add(7)]) | add(6)

chain
├─ 1. chord                   queue=sums
│  ├─ add(1)
│  ├─ add('…')                priority=3  run=5  no result
│  └─ then chain
│     ├─ 1. add(…, 2)
│     └─ 2. add(…, 3)
├─ 2. group                   the next step waits for all
│  ├─ add(…, 4)
│  └─ chain                   immutable
│     ├─ 1. add(5)
│     └─ 2. add(…, 7)
├─ 3. add(…, 6)
├─ on success: tell(…)
└─ on error: mail(id, 'ops')
`
	if got := succeeds(t, nil, "canvas", "show", workflowFile(t, written(t, flow))); got != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
}

func TestAWorkflowIsPrintedAsItIsSent(t *testing.T) {
	t.Parallel()
	path := workflowFile(t, `{"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [{"task": "add", "args": [12345678901234567890]}]}}`)
	for _, flag := range []string{"--json", "-o=json"} {
		got := succeeds(t, nil, "canvas", "show", path, flag)
		sig, err := wire.DecodeSignature(codec.Raw(got), codec.JSON{})
		if err != nil || sig.Type != "chain" || len(sig.Tasks) != 1 || string(sig.Tasks[0].Args[0].(codec.Raw)) != "12345678901234567890" {
			t.Errorf("it prints %s (%v)", got, err)
		}
		if whole := decode[map[string]json.RawMessage](t, got); len(whole) != 6 {
			t.Errorf("it prints %s, want all members of a signature", got)
		}
	}
}

// dotEdge is an arrow in Graphviz's language.
var dotEdge = regexp.MustCompile(`(?m)^ *(n\d+) -> (n\d+)(?: \[([^\]]*)\])?;$`)

func TestAWorkflowIsAGraph(t *testing.T) {
	t.Parallel()
	got := succeeds(t, nil, "canvas", "show", workflowFile(t, pythonsWorkflow), "--dot")
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ *(n\d+) \[label="((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(got, -1) {
		labels[m[1]] = m[2]
	}
	edges := map[string]string{}
	for _, m := range dotEdge.FindAllStringSubmatch(got, -1) {
		edges[labels[m[1]]+" > "+labels[m[2]]] = m[3]
	}
	for edge, want := range map[string]string{
		"t.add(2, 2) > t.add(3)": "", `t.add(2, 2) > t.add(4)\nqueue slow`: "", "t.add(3) > ": "arrowhead=none", `t.add(4)\nqueue slow > `: "arrowhead=none",
		" > t.tsum()": "", "t.tsum() > chunks t.add": "", "t.tsum() > t.add(1, 1)": "style=dashed, color=red",
	} {
		if attributes, ok := edges[edge]; !ok || attributes != want {
			t.Errorf("no arrow %q (%s) in\n%s", edge, want, got)
		}
		delete(edges, edge)
	}
	if len(edges) > 0 || strings.Count(got, "{") != strings.Count(got, "}") {
		t.Errorf("more arrows %v, or braces that do not match, in\n%s", edges, got)
	}
}

func TestMistakesInAWorkflowAreShownWithTheirPlace(t *testing.T) {
	t.Parallel()
	chain := func(steps string) string {
		return "{\"task\": \"celery.chain\", \"subtask_type\": \"chain\",\n \"kwargs\": {\"tasks\": " + steps + "}}"
	}
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{"is empty", "json.dumps"}},
		{`{"task": "a"`, []string{"line 1, column 13: not JSON, it ends too early"}},
		{"{\"task\":\n  x}", []string{"line 2, column 3: not JSON", "'x'"}},
		{`{"task": "a"} {}`, []string{"line 1, column 15: not JSON"}},
		{`["a"]`, []string{"line 1, column 1: wanted is a signature, an object like"}},
		{`{"args": []}`, []string{`"task", the name of the task, is missing`}},
		{`{"task": ""}`, []string{"column 10", "must be the name of a task"}},
		{`{"task": "a", "kwarg": {}}`, []string{`column 24: unknown name "kwarg"; did you mean "kwargs"?`}},
		{`{"task": "a", "args": {}}`, []string{`"args" must be a list`}},
		{`{"task": "a", "kwargs": []}`, []string{`"kwargs" must be an object`}},
		{`{"task": "a", "options": 1}`, []string{`"options" must be an object`}},
		{`{"task": "a", "immutable": "x"}`, []string{"immutable"}},
		{`{"task": "a", "options": {"prority": 1}}`, []string{`column 38 (options): unknown name "prority"; did you mean "priority"?`}},
		{`{"task": "a", "options": {"time_limit": -1, "soft_time_limit": "x"}}`, []string{"a: soft_time_limit"}},
		{`{"task": "a", "subtask_type": "chian"}`, []string{`subtask_type is "chian"`, `did you mean "chain"?`}},
		{`{"task": "a", "subtask_type": 1}`, []string{"subtask_type is 1, which is none of chain, group, chord"}},
		{chain("[]"), []string{"line 2, column 22: the chain has no steps"}},
		{chain("{}"), []string{`"tasks" must be a list of signatures`}},
		{`{"task": "celery.chain", "subtask_type": "chain"}`, []string{`the chain has no "tasks" among its kwargs`}},
		{chain(`[{"task": "a"}, {"args": [1]}]`), []string{"line 2, column 38 (step 2)", "is missing"}},
		{chain(`[{"task": "g", "subtask_type": "group", "kwargs": {"tasks": [7]}}]`), []string{"(step 1, member 1): wanted is a signature"}},
		{`{"task": "c", "subtask_type": "chord", "kwargs": {"header": []}}`, []string{`the chord has no "body"`}},
		{`{"task": "c", "subtask_type": "chord", "kwargs": {"header": [{"task": "a"}], "body": {}}}`, []string{"(body)", "is missing"}},
		{`{"task": "c", "subtask_type": "chord", "kwargs": {"header": {"task": 1}, "body": {}}}`, []string{"(header)", "name of a task"}},
		{`{"task": "celery.map", "kwargs": {"task": {}, "it": []}}`, []string{"(task)", "is missing"}},
		{`{"task": "a", "options": {"link_error": [{"task": "b"}, {}]}}`, []string{"(link_error 2)", "is missing"}},
		{`{"task": "a", "options": {"chord": {}}}`, []string{"(chord)", "is missing"}},
	} {
		path := workflowFile(t, tt.text)
		_, _, err := inProcess(t, nil, "canvas", "show", path)
		if got := cli.ExitCode(err); got != cli.Usage {
			t.Errorf("%s: exit status = %d, want %d (%v)", tt.text, got, cli.Usage, err)
		}
		checkSentence(t, err, append(tt.want, path))
	}
	_, _, err := inProcess(t, nil, "canvas", "show", filepath.Join(t.TempDir(), "none.json"))
	if cli.ExitCode(err) != cli.Usage {
		t.Errorf("exit status = %d, want %d", cli.ExitCode(err), cli.Usage)
	}
	checkSentence(t, err, []string{"none.json", "no such file"})
	_, _, err = inProcess(t, nil, "canvas", "show", "-") // nothing is there
	checkSentence(t, err, []string{"standard input is empty"})
	_, _, err = inProcess(t, nil, "canvas", "show", "x", "--dot", "--json")
	checkSentence(t, err, []string{"--dot and --output json"})
}

func TestMistakesWithWorkflowsToSendAreExplained(t *testing.T) {
	t.Parallel()
	path := workflowFile(t, pythonsWorkflow)
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"send tasks.add --canvas " + path, []string{`unexpected argument "tasks.add"`, "the file says"}},
		{"send --canvas " + path + " --queue q --args [2]", []string{"--args and --queue and --canvas do not go together", "into the workflow"}},
		{"send --canvas " + path + " --no-retry --publish-retries 2", []string{"--no-retry and --publish-retries"}},
		{"send --canvas " + path + " --timeout soon", []string{"--timeout:", "soon"}},
		{"send --canvas " + path + " --link {}", []string{"--link:", "name of a task"}},
		{"send --canvas " + path + ".none", []string{"flow.json.none", "no such file"}},
		{"send --canvas " + workflowFile(t, `{"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": []}}`), []string{"the chain has no steps"}},
		{"send --canvas " + workflowFile(t, `{"task": "a", "options": {"time_limit": 1, "soft_time_limit": 2}}`), []string{"soft time limit 2s"}},
	} {
		_, _, err := inProcess(t, nil, strings.Fields(tt.args)...)
		if got := cli.ExitCode(err); got != cli.Usage {
			t.Errorf("%s: exit status = %d, want %d (%v)", tt.args, got, cli.Usage, err)
		}
		checkSentence(t, err, tt.want)
	}
}

func TestThePlanOfAWorkflowAreItsFirstMessages(t *testing.T) {
	t.Parallel()
	path := workflowFile(t, written(t, canvas.Chord([]task.Signature{
		{Task: "a", Args: []any{1}, CallOptions: task.CallOptions{Queue: "q"}},
		{Task: "celery.chain", Type: "chain", Tasks: []task.Signature{{Task: "b"}, {Task: "c"}}},
	}, task.Signature{Task: "d"})))
	want := `   CALL  OPTIONS  THEN
1  a(1)  queue=q  when all of 2 have ended: d()
2  b()            c()  when all of 2 have ended: d()
`
	if got := succeeds(t, nil, "canvas", "show", path, "--plan"); got != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
	list := decode[[]struct {
		Call, Chord string
		Then        []string
		Group       int
		Signature   struct {
			Task    string
			Options map[string]json.RawMessage
		}
	}](t, succeeds(t, nil, "canvas", "show", path, "--plan", "--json"))
	if len(list) != 2 || list[1].Group != 2 || list[1].Chord != "d()" || list[1].Then[0] != "c()" || list[0].Signature.Task != "a" || list[0].Signature.Options["chord"] == nil {
		t.Errorf("JSON = %+v", list)
	}
	plain := succeeds(t, nil, "canvas", "show", workflowFile(t, pythonsWorkflow), "--plan")
	if !strings.Contains(plain, "%t.tsum([add(3), add(4)]) | celery.chunks(") {
		t.Errorf("it prints\n%s", plain)
	}
}
