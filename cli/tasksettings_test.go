package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLimitsOfTasksStandInTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.toml")
	write := func(text string) map[string]string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]string{"TASKQ_CONFIG": path, "TASKQ_BROKER_URL": "memory://"}
	}
	out := succeeds(t, write("[tasks.\"tasks.add\"]\nrate_limit = \"10/m\"\ntime_limit = 60\n\n[tasks.\"*\"]\nsoft_time_limit = \"1m\"\n"), "config", "--show-origin")
	for _, want := range []string{`rate_limit = "10/m"`, "time_limit", "soft_time_limit", `tasks."tasks.add"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	for text, want := range map[string]string{
		"[tasks.\"tasks.add\"]\nrate_limit = \"often\"\n": "could not convert string to float: 'often'; wanted is how often, as in 10/s",
		"[tasks.\"tasks.add\"]\nrate_limt = \"1/s\"\n":    "rate_limit",
	} {
		_, _, err := inProcess(t, write(text), "config")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tasks.add") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
