package canvas

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// celeryCase is a line of what a script in testdata printed.
type celeryCase struct {
	Name      string          `json:"name"`
	Signature json.RawMessage `json:"signature"`
	Repr      string          `json:"repr"`
}

// captured are the cases of a script as a version of Celery has them, by name.
func captured(t *testing.T, script, version string) map[string]celeryCase {
	t.Helper()
	file, err := os.Open("testdata/" + script + "-" + version + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := map[string]celeryCase{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var c celeryCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Name != "" { // the first line has the version
			all[c.Name] = c
		}
	}
	return all
}

func parsed(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func encoded(t *testing.T, s task.Signature) any {
	t.Helper()
	raw, err := wire.EncodeSignature(s, codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, raw)
}

// better are the workflows that we write otherwise than Celery, and why.
func better() map[string]string {
	return map[string]string{
		"group options | task": "Celery drops the options",
		"group link chain":     "Celery marks only the chain, which its workers do not look at",
	}
}

// Where versions differ, we do as the newest does.
func TestWorkflowsAreThoseOfCelery(t *testing.T) {
	t.Parallel()
	newest, flows := captured(t, "workflows", "main"), workflows()
	if len(newest) != len(flows) || len(flows) < 130 {
		t.Errorf("%d cases here, %d of Celery; want the same, and 130 or more", len(flows), len(newest))
	}
	for name, want := range newest {
		flow, ok := flows[name]
		if !ok {
			t.Errorf("%s: no such workflow here", name)
			continue
		}
		diff := cmp.Diff(parsed(t, want.Signature), encoded(t, flow))
		if _, differs := better()[name]; differs {
			if diff == "" {
				t.Errorf("%s: as in Celery, against what is said of it", name)
			}
			continue
		}
		if diff != "" {
			t.Errorf("%s (-Celery +taskq):\n%s", name, diff)
		}
	}
}

// withoutStray leaves out the option immutable, which Celery 5.6 gives to errbacks by mistake.
func withoutStray(v any) any {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			withoutStray(e)
		}
	case map[string]any:
		if options, ok := v["options"].(map[string]any); ok {
			delete(options, "immutable")
		}
		for _, e := range v {
			withoutStray(e)
		}
	}
	return v
}

func TestWorkflowsOfCelerySurvive(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.3", "main"} {
		for name, c := range captured(t, "workflows", version) {
			s, err := wire.DecodeSignature(codec.Raw(c.Signature), codec.JSON{})
			if err != nil {
				t.Errorf("%s: %s: %v", version, name, err)
				continue
			}
			if diff := cmp.Diff(withoutStray(parsed(t, c.Signature)), encoded(t, s)); diff != "" {
				t.Errorf("%s: %s (-Celery +taskq):\n%s", version, name, diff)
			}
		}
	}
}
