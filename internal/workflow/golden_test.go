package workflow_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// call is a task of the captures.
func call(name string, args ...any) task.Signature {
	return task.Signature{Task: "h2." + name, Args: args}
}

func chain(steps ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.chain", Type: "chain", Tasks: steps}
}

func group(members ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.group", Type: "group", Tasks: members}
}

func chord(body task.Signature, header ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.chord", Type: "chord", Tasks: header, Body: &body}
}

func with(s task.Signature, set func(*task.Signature)) task.Signature {
	set(&s)
	return s
}

// captured reads the messages of a scenario that the client, or the worker, sent.
func captured(t *testing.T, pattern string) []map[string]any {
	t.Helper()
	var files []string
	for _, numbered := range []string{"", "-*"} {
		found, err := filepath.Glob(filepath.Join("..", "wire", "testdata", "tasks", pattern+numbered+".json"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatalf("no messages of %s", pattern)
	}
	var list []map[string]any
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Headers map[string]any `json:"headers"`
			Text    string         `json:"body_text"`
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatal(err)
		}
		var body any
		if err := json.Unmarshal([]byte(f.Text), &body); err != nil {
			t.Fatal(err)
		}
		list = append(list, message(f.Headers, body))
	}
	return list
}

// planned are the messages of a plan.
func planned(t *testing.T, p *workflow.Plan) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, s := range p.Calls {
		msg, err := wire.Encode(wire.Outgoing{Signature: s, Codec: codec.JSON{}})
		if err != nil {
			t.Fatal(err)
		}
		var body any
		if err := json.Unmarshal(msg.Body, &body); err != nil {
			t.Fatal(err)
		}
		headers, err := json.Marshal(msg.Headers)
		if err != nil {
			t.Fatal(err)
		}
		var h map[string]any
		if err := json.Unmarshal(headers, &h); err != nil {
			t.Fatal(err)
		}
		list = append(list, message(h, body))
	}
	return list
}

// message is what of a message is compared.
func message(headers map[string]any, body any) map[string]any {
	out := map[string]any{"body": plain(body)}
	for _, name := range []string{"task", "id", "group", "group_index", "parent_id"} {
		out[name] = headers[name]
	}
	return out
}

// plain leaves out of signatures what says the same in another way: options that are null; the root, which is the parent's; the body and the
// group with each task of a header or group that is not applied yet; the ids of groups and chords in others, and the structure's own type.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = plain(e)
		}
		if options, isDict := out["options"].(map[string]any); isDict {
			out["options"] = plainOptions(options, out["subtask_type"])
			if kwargs, _ := out["kwargs"].(map[string]any); out["subtask_type"] == "group" {
				for _, m := range kwargs["tasks"].([]any) {
					options := m.(map[string]any)["options"].(map[string]any)
					delete(options, "chord")
					delete(options, "group_id")
					delete(options, "group_index")
				}
			}
		}
		return out
	}
	return v
}

func plainOptions(options map[string]any, kind any) map[string]any {
	for name, v := range options {
		switch list, isList := v.([]any); {
		case v == nil, name == "root_id", name == "parent_id", name == "add_to_parent", isList && len(list) == 0:
			delete(options, name)
		case (name == "task_id" || name == "chord") && (kind == "group" || kind == "chord"):
			delete(options, name)
		}
	}
	return options
}

// compare compares messages but for the values of the ids: those that are the same must be the same.
func compare(t *testing.T, want, got []map[string]any) {
	t.Helper()
	text := func(list []map[string]any) any {
		raw, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		raw = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllFunc(raw, func(id []byte) []byte {
			if !slices.Contains(names, string(id)) {
				names = append(names, string(id))
			}
			return fmt.Appendf(nil, "#%d", slices.Index(names, string(id)))
		})
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if diff := gocmp.Diff(text(want), text(got)); diff != "" {
		t.Errorf("messages (-Celery +taskq):\n%s", diff)
	}
}

// TestClientsSendWhatCelerysDo compares with the newest version; older ones leave out the group of a body.
func TestClientsSendWhatCelerysDo(t *testing.T) {
	t.Parallel()
	add, sum := func(x, y int) task.Signature { return call("add", x, y) }, call("tsum")
	onError := func(s *task.Signature) { s.LinkError = []task.Signature{call("on_err_old")} }
	for capture, s := range map[string]task.Signature{
		"group3":                group(add(0, 0), add(1, 1), add(2, 2)),
		"chain3":                chain(add(1, 2), call("mul", 3), call("add", 4)),
		"chain_link":            with(chain(add(1, 2), call("mul", 3)), func(s *task.Signature) { s.Link = []task.Signature{call("echo", "linked")} }),
		"chain_link_error":      with(chain(add(1, 2), call("mul", 3)), onError),
		"chain_of_group_mid":    chain(add(1, 1), group(call("add", 10), call("mul", 10))),
		"nested_chain_in_group": group(chain(add(1, 1), call("mul", 2)), add(5, 5)),

		"run-redis_new/chord.client":              chord(sum, add(0, 0), add(1, 1), add(2, 2)),
		"run-redis_new/chord_body_chain.client":   chord(chain(sum, call("mul", 10)), add(1, 1), add(2, 2)),
		"run-redis_new/chord_chain_header.client": chord(sum, chain(add(1, 1), call("mul", 2)), add(3, 3)),
		"run-redis_new/chord_from_chain.client":   chain(group(add(1, 1), add(2, 2)), sum, call("add", 1)),
		"run-redis_new/chord_fail_errback.client": with(chord(sum, add(1, 1), call("fail", "hdr")), onError),
		"run-redis_new/chain_into_chord.client":   chain(add(1, 1), chord(sum, call("add", 10), call("add", 20))),
		"run-redis_new/chain_ending_group.client": chain(add(1, 1), group(call("add", 10), call("mul", 10))),
		"run-final_new/nested_chord.client":       chord(sum, chord(sum, add(1, 1), add(2, 2)), add(3, 3)),
		"run-final_new/empty_chord.client":        chord(sum),
		"run-final_new/chord_body_group.client":   chord(group(sum, call("echo")), add(1, 1), add(2, 2)),
	} {
		t.Run(capture, func(t *testing.T) {
			t.Parallel()
			p := workflow.New(workflow.Origin{ReplyTo: uuid.NewString()})
			if _, err := p.Start(s); err != nil {
				t.Fatal(err)
			}
			compare(t, captured(t, "main/"+capture), planned(t, p))
		})
	}
}

// delivered reads a captured message as a worker does.
func delivered(t *testing.T, name string) (*task.Request, workflow.Followers) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "tasks", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Headers    map[string]any `json:"headers"`
		Properties map[string]any `json:"properties"`
		Text       string         `json:"body_text"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	msg := broker.Message{ContentType: "application/json", ContentEncoding: "utf-8", Headers: broker.Table{}, Body: []byte(f.Text)}
	msg.ReplyTo, _ = f.Properties["reply_to"].(string)
	for name, v := range f.Headers {
		if n, isNumber := v.(float64); isNumber {
			v = int32(n)
		}
		msg.Headers[name] = v
	}
	req, err := wire.Decode(broker.NewDelivery(msg, nil), codec.NewSet(codec.JSON{}), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return req, followersOf(t, req)
}

func followersOf(t *testing.T, req *task.Request) (f workflow.Followers) {
	t.Helper()
	for raw, list := range map[*codec.Raw]*[]task.Signature{&req.Embed.Callbacks: &f.Links, &req.Embed.Errbacks: &f.Errbacks, &req.Embed.Chain: &f.Chain} {
		var err error
		if *list, err = wire.DecodeSignatures(*raw, req.Codec); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(f.Chain)
	if req.Embed.Chord != nil {
		body, err := wire.DecodeSignature(req.Embed.Chord, req.Codec)
		if err != nil {
			t.Fatal(err)
		}
		f.Chord = &body
	}
	return f
}

// TestWorkersSendWhatCelerysDo has chords begin and end as they did in a worker of Celery. Answers go where they went, ids that it made up
// are made up here.
func TestWorkersSendWhatCelerysDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		parent string
		result string // of the task; the list, when it is the last one of a header
		joined bool
		want   string
	}{
		{"run-redis_new/chain_into_chord.client-1", "2", false, "run-redis_new/chain_into_chord.worker-[12]"},
		{"run-redis_new/chain_into_chord.worker-2", "[12, 22]", true, "run-redis_new/chain_into_chord.worker-3"},
		{"run-redis_new/chord.client-3", "[0, 2, 4]", true, "run-redis_new/chord.worker-1"},
		{"run-redis_new/chord_body_chain.client-2", "[2, 4]", true, "run-redis_new/chord_body_chain.worker-1"},
		{"run-redis_new/chord_body_chain.worker-1", "6", false, "run-redis_new/chord_body_chain.worker-2"},
		{"run-redis_new/chord_chain_header.client-1", "2", false, "run-redis_new/chord_chain_header.worker-1"},
		{"run-redis_new/chord_chain_header.worker-1", "[4, 6]", true, "run-redis_new/chord_chain_header.worker-2"},
		{"run-redis_new/chord_from_chain.client-2", "[2, 4]", true, "run-redis_new/chord_from_chain.worker-1"},
		{"run-redis_new/chord_nested_group.client-3", "[4, 2, 6]", true, "run-redis_new/chord_nested_group.worker-1"},
		{"run-final_new/chord_body_group.client-2", "[2, 4]", true, "run-final_new/chord_body_group.worker-[12]"},
		{"run-final_new/nested_chord.client-2", "[2, 4]", true, "run-final_new/nested_chord.worker-1"},
		{"run-final_new/nested_chord.worker-1", "[6, 6]", true, "run-final_new/nested_chord.worker-2"},
		{"run-redis_new/chain_ending_group.client-1", "2", false, "run-redis_new/chain_ending_group.worker-[12]"},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			req, f := delivered(t, "main/"+test.parent)
			p := workflow.New(workflow.After(req))
			var err error
			if test.joined {
				p = workflow.New(joined(req))
				_, err = p.Start(*f.Chord, codec.Raw(test.result))
			} else {
				err = p.Succeed(f, codec.Raw(test.result))
			}
			if err != nil {
				t.Fatal(err)
			}
			compare(t, captured(t, "main/"+test.want), planned(t, p))
		})
	}
}
