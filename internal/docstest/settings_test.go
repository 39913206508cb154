package docstest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
)

// setting is a line of `config -o json`.
type setting struct{ Name, Value, Env, Flag string }

func TestTheTableOfSettingsIsComplete(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, line := range readPage(t, "docs/configuration.md").prose {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `") {
			rows[name] = line
		}
	}
	for _, s := range settings(t) {
		row, ok := rows[s.Name]
		if !ok {
			t.Errorf("docs/configuration.md has no row for %s", s.Name)
			continue
		}
		delete(rows, s.Name)
		for _, want := range []string{s.Flag, s.Env, s.Value} {
			if want != "" && !strings.Contains(row, "`"+want+"`") && !strings.Contains(row, want+"`") {
				t.Errorf("the row of %s does not say %s: %s", s.Name, want, row)
			}
		}
	}
	for name := range rows {
		if strings.Contains(name, ".") || strings.Contains(name, "_") && strings.ToLower(name) == name {
			if !strings.HasPrefix(name, "database.") { // settings of cmd/taskq, tested by the page's own commands
				t.Errorf("docs/configuration.md has a row for %s, which is no setting", name)
			}
		}
	}
}

// settings are those of every program, with their defaults.
func settings(t *testing.T) []setting {
	t.Helper()
	empty := filepath.Join(t.TempDir(), "taskq.toml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := cli.New("myapp", nil, cli.Environ(func(string) (string, bool) { return "", false }))
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"config", "-o", "json", "--config", empty})
	if err := cmd.ExecuteContext(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	var all []setting
	if err := json.Unmarshal(out.Bytes(), &all); err != nil || len(all) < 10 {
		t.Fatalf("%d settings, %v", len(all), err)
	}
	return all
}
