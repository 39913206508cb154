package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// outcomes returns every result document that was captured of a version, by where it was found: rpc messages, and what Redis was told
// to keep, the states that were overwritten later included.
func outcomes(tb testing.TB, version string) map[string]string {
	tb.Helper()
	docs := map[string]string{}
	for _, file := range paths(tb, "results-rpc/"+version) {
		if f := load(tb, file); f.Properties.ContentType == "application/json" {
			docs[file] = string(f.Body)
		}
	}
	for key, value := range redisValues(tb, version) {
		if strings.Contains(key, "celery-task-meta-") {
			docs[key] = value
		}
	}
	return docs
}

// redisValues returns what Celery of a version stored in Redis, by scenario and key: the values at the end, and from the transcript those
// before them, as far as they have no quotes in their texts, which it does not escape.
func redisValues(tb testing.TB, version string) map[string]string {
	tb.Helper()
	values := map[string]string{}
	for _, file := range paths(tb, "redis/"+version) {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			tb.Fatal(err)
		}
		scenario := decoded[struct {
			Monitor []string `json:"monitor"`
			Keys    map[string]struct {
				Value any `json:"value"`
			} `json:"keys"`
		}](tb, data)
		for key, kept := range scenario.Keys {
			if value, ok := kept.Value.(string); ok && strings.HasPrefix(value, "{") {
				values[file+" "+key] = value
			}
		}
		for i, command := range scenario.Monitor {
			words := strings.SplitN(command, " ", 4)
			if words[0] == "SETEX" && strings.HasPrefix(words[3], "{") && json.Valid([]byte(words[3])) {
				values[fmt.Sprintf("%s %s %d", file, words[1], i)] = words[3]
			}
		}
	}
	return values
}

// tokens is a document's content in its order.
func tokens(tb testing.TB, doc string) (list []json.Token) {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			tb.Fatalf("%s: %v", doc, err)
		}
		list = append(list, token)
	}
}

// written decodes a document and writes it again.
func written(t *testing.T, doc string) (task.Meta, string) {
	t.Helper()
	meta, err := wire.DecodeResult([]byte(doc), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := wire.EncodeResult(meta, nil)
	if err != nil {
		t.Fatal(err)
	}
	return meta, string(body)
}

// TestKeepsOutcomesAsCeleryDoes writes each outcome again and compares: members, their order and their values.
func TestKeepsOutcomesAsCeleryDoes(t *testing.T) {
	t.Parallel()
	for version, least := range map[string]int{"5.2.6": 180, "5.6.2": 200, "main": 200} {
		docs := outcomes(t, version)
		if len(docs) < least {
			t.Errorf("%d outcomes of %s were found, want %d at least", len(docs), version, least)
		}
		for name, doc := range docs {
			want := doc
			if version != "main" && strings.HasPrefix(name, "results-rpc") {
				continue // their form is shorter: TestReadsTheShortForm
			}
			if version == "5.2.6" { // its times have no zone
				want = stamped(doc)
			}
			if _, got := written(t, doc); !cmp.Equal(tokens(t, want), tokens(t, got)) {
				t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want, got))
			}
		}
	}
}

// stamped adds the zone to date_done.
func stamped(doc string) string {
	const key = `"date_done": "`
	before, after, found := strings.Cut(doc, key)
	if !found {
		return doc
	}
	date, after, _ := strings.Cut(after, `"`)
	return before + key + date + `+00:00"` + after
}

func TestReadsTheShortForm(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.2"} {
		for _, file := range paths(t, "results-rpc/"+version) {
			f := load(t, file)
			_, again := written(t, string(f.Body))
			got, want := plainJSON[map[string]any](t, again), plainJSON[map[string]any](t, string(f.Body))
			if got["date_done"] != nil {
				t.Errorf("%s: date_done = %v", file, got["date_done"])
			}
			delete(got, "date_done")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	}
}

func TestReadsExtendedMetadata(t *testing.T) {
	t.Parallel()
	meta, _ := written(t, `{"status": "SUCCESS", "result": 3, "traceback": null, "children": null, "date_done": null, "name": "h2.add",
		"args": [1, 2], "kwargs": {"b": 2}, "worker": "w1@h2host", "retries": 2, "queue": "celery",
		"stamped_headers": ["tenant", "status", "lost"], "tenant": ["acme"], "task_id": "t"}`)
	want := &task.Extended{
		Name: "h2.add", Args: codec.Raw(`[1, 2]`), Kwargs: codec.Raw(`{"b": 2}`), Worker: "w1@h2host", Retries: 2, Queue: "celery",
		StampedHeaders: []string{"tenant", "status", "lost"}, Stamps: map[string]any{"tenant": []any{"acme"}},
	}
	if diff := cmp.Diff(want, meta.Extended); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if meta.Children != nil {
		t.Errorf("children = %v, want nil", meta.Children)
	}
	meta.Extended.Stamps = map[string]any{"status": "hidden", "tenant": "acme"}
	body, err := wire.EncodeResult(meta, nil)
	if err != nil {
		t.Fatal(err)
	}
	if doc := plainJSON[map[string]any](t, string(body)); doc["status"] != "SUCCESS" || doc["tenant"] != "acme" {
		t.Errorf("a stamp hides a member: %s", body)
	}
}

func TestKeepsGroupsAsCeleryDoes(t *testing.T) {
	t.Parallel()
	groups := 0
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		for name, doc := range redisValues(t, version) {
			if !strings.Contains(name, "celery-taskset-meta-") {
				continue
			}
			groups++
			group, err := wire.DecodeGroup([]byte(doc), nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !strings.Contains(name, group.ID) || len(group.Members) == 0 {
				t.Errorf("%s: %+v", name, group)
			}
			body, err := wire.EncodeGroup(group, nil)
			if err != nil || !cmp.Equal(tokens(t, doc), tokens(t, string(body))) {
				t.Errorf("%s: %s, want %s, %v", name, body, doc, err)
			}
		}
	}
	if groups < 6 {
		t.Errorf("%d groups were found", groups)
	}
}

func TestBadGroupsAreErrors(t *testing.T) {
	t.Parallel()
	for body, text := range map[string]string{
		`{`:                            "the text ends",
		`{}`:                           "is no result tuple",
		`{"result": [["a", null], 5]}`: "a is a task",
		`{"result": "a"}`:              "a is a task",
	} {
		if _, err := wire.DecodeGroup([]byte(body), nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error = %v, want %s", body, err, text)
		}
	}
	if _, err := wire.EncodeGroup(task.Ref{ID: "a"}, nil); err == nil {
		t.Error("encoded a task as a group")
	}
}

// TestLongWorkflowsHaveLongTuples: each task of a chain is the parent of the next.
func TestLongWorkflowsHaveLongTuples(t *testing.T) {
	t.Parallel()
	group := task.Ref{ID: "g", Group: true, Members: []task.Ref{{ID: "m"}}}
	at := &group
	for i := range 900 {
		at.Parent = &task.Ref{ID: fmt.Sprint(i)}
		at = at.Parent
	}
	body, err := wire.EncodeGroup(group, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeGroup(body, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(group, got); diff != "" {
		t.Error(diff)
	}
	meta := task.Meta{ID: "t", State: task.Success, Children: []task.Ref{group}}
	doc, err := wire.EncodeResult(meta, nil)
	if err != nil {
		t.Fatal(err)
	}
	if meta, err = wire.DecodeResult(doc, nil); err != nil || !cmp.Equal(meta.Children, []task.Ref{group}) {
		t.Errorf("the children are not what they were: %v", err)
	}
}

// packed stands for a codec that is not JSON: JSON behind a byte of its own.
type packed struct{ codec.JSON }

func (packed) ContentType() string { return "application/x-packed" }

func (p packed) Marshal(v any) ([]byte, error) {
	if m, ok := v.(map[string]any); ok {
		for key, value := range m {
			if raw, ok := value.(codec.Raw); ok && len(raw) > 0 {
				m[key] = codec.Raw(bytes.TrimPrefix(raw, []byte("!")))
			}
		}
	}
	b, err := p.JSON.Marshal(v)
	return append([]byte("!"), b...), err
}

func (p packed) Unmarshal(data []byte, dst any) error {
	return p.JSON.Unmarshal(bytes.TrimPrefix(data, []byte("!")), dst)
}

func TestOutcomesMayBeInOtherCodecs(t *testing.T) {
	t.Parallel()
	meta := task.Meta{
		ID: "t", State: task.Failure, Codec: packed{}, Result: codec.Raw(`{"exc_type":"ValueError","exc_message":["b"],"exc_module":"m"}`),
		Children: []task.Ref{{ID: "c"}, {ID: "g", Group: true}}, GroupID: "g",
		Extended: &task.Extended{Name: "n", Args: codec.Raw(`[1]`), Stamps: map[string]any{"s": "v"}, StampedHeaders: []string{"s"}},
	}
	body, err := wire.EncodeResult(meta, packed{})
	if err != nil || body[0] != '!' {
		t.Fatalf("%s, %v", body, err)
	}
	got, err := wire.DecodeResult(body, packed{})
	if err != nil {
		t.Fatal(err)
	}
	meta.Extended.Kwargs = codec.Raw("null")
	if diff := cmp.Diff(meta, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Err(); err == nil || err.Error() != "ValueError: b" {
		t.Errorf("error = %v", err)
	}
	if _, err := wire.EncodeResult(meta, nil); err == nil || !strings.Contains(err.Error(), "one result serializer") {
		t.Errorf("another codec than the store's: error = %v", err)
	}
}
