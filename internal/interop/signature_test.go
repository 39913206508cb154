package interop_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

// TestCeleryStillMakesItsWorkflowsTheSame holds what Celery makes of workflows against what was captured of its version, or of the newest
// one: the canvas package is tested with that.
func TestCeleryStillMakesItsWorkflowsTheSame(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"workflows", "stamps"} {
		source, err := os.ReadFile(filepath.Join("..", "..", "canvas", "testdata", script+".py"))
		if err != nil {
			t.Fatal(err)
		}
		got := lines(t, testserver.NewPython(t, testserver.PythonConfig{}).Run(string(source)))
		version, _ := got[0]["celery"].(string)
		want := lines(t, capturedFrom(t, script, version))[1:]
		if diff := cmp.Diff(stable(t, want), stable(t, got[1:])); diff != "" {
			t.Errorf("%s of Celery %s (-captured +now):\n%s", script, version, diff)
		}
	}
}

func capturedFrom(t *testing.T, script, version string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "canvas", "testdata")
	for _, name := range []string{version, "main"} {
		text, err := os.ReadFile(filepath.Join(dir, script+"-"+name+".jsonl"))
		if err == nil {
			return string(text)
		}
	}
	t.Fatalf("nothing is captured of %s", script)
	return ""
}

// stable leaves out the addresses of objects.
func stable(t *testing.T, cases []map[string]any) []string {
	t.Helper()
	out := make([]string, len(cases))
	for i, c := range cases {
		if text, _ := c["repr"].(string); strings.Contains(text, "@0x") {
			delete(c, "repr")
		}
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(raw)
	}
	return out
}
