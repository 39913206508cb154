//go:build unix

package docstest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// deployFile returns a file for deployments.
func deployFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "examples/deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// find returns what the expression's group matches.
func find(t *testing.T, text, expression string) string {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s", expression)
	}
	return m[1]
}

func seconds(t *testing.T, text, expression string) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(find(t, text, expression))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

// rest is what a stop takes after worker.shutdown_timeout, as docs/deploy.md has it.
const rest = 20 * time.Second

func TestDeploymentsLeaveAStopItsTime(t *testing.T) {
	t.Parallel()
	for name, expressions := range map[string][2]string{
		"kubernetes.yaml":      {`terminationGracePeriodSeconds: (\d+)`, `TASKQ_WORKER_SHUTDOWN_TIMEOUT\s+value: "(\d+)"`},
		"taskq-worker.service": {`TimeoutStopSec=(\d+)`, `TASKQ_WORKER_SHUTDOWN_TIMEOUT=(\d+)`},
	} {
		text := deployFile(t, name)
		killed, timeout := seconds(t, text, expressions[0]), seconds(t, text, expressions[1])
		if killed < timeout+rest {
			t.Errorf("%s: the worker is killed after %s, want %s and %s at least", name, killed, timeout, rest)
		}
		line := find(t, expressions[0], `^(\w+)`)
		if page := readPage(t, "docs/deploy.md").text; !regexp.MustCompile("`" + line + `[:=] ?` + strconv.Itoa(int(killed.Seconds()))).MatchString(page) {
			t.Errorf("docs/deploy.md does not say that %s is %s", line, killed)
		}
	}
}

func TestDeploymentsSetWhatExists(t *testing.T) {
	t.Parallel()
	var variables, flags []string
	for _, s := range settings(t) {
		variables, flags = append(variables, s.Env, s.Env+"_FILE"), append(flags, s.Flag)
	}
	for _, name := range []string{"kubernetes.yaml", "taskq-worker.service"} {
		text := deployFile(t, name)
		for _, variable := range regexp.MustCompile(`TASKQ_\w+`).FindAllString(text, -1) {
			if !slices.Contains(variables, variable) {
				t.Errorf("%s: no setting has the variable %s", name, variable)
			}
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+\b`).FindAllString(find(t, text, `((?:args:|ExecStart=).*)`), -1) {
			if !slices.Contains(flags, flag) {
				t.Errorf("%s: no setting has the flag %s", name, flag)
			}
		}
	}
}

// Other tools know best whether these files are well-formed; where there are none, the files are not looked at.
func TestDeploymentsAreWellFormed(t *testing.T) {
	t.Parallel()
	unit := filepath.Join(t.TempDir(), "taskq-worker.service")
	text := strings.Replace(deployFile(t, "taskq-worker.service"), "/usr/local/bin/taskq", "/bin/sh", 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const load = "import sys, yaml; kinds = [d['kind'] for d in yaml.safe_load_all(open(sys.argv[1]))]; assert len(kinds) == 2, kinds"
	for _, check := range []struct {
		there, command []string
	}{
		{[]string{"systemd-analyze", "--version"}, []string{"systemd-analyze", "verify", unit}},
		{[]string{"python3", "-c", "import yaml"}, []string{"python3", "-c", load, filepath.Join(root, "examples/deploy/kubernetes.yaml")}},
		{[]string{"sh", "-c", ":"}, []string{"sh", "-n", filepath.Join(root, "examples/deploy/rabbitmq.sh")}},
	} {
		if exec.CommandContext(t.Context(), check.there[0], check.there[1:]...).Run() != nil { //nolint:gosec // the names above
			t.Logf("%s is not there", check.there[0])
			continue
		}
		out, err := exec.CommandContext(t.Context(), check.command[0], check.command[1:]...).CombinedOutput() //nolint:gosec // as above
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", strings.Join(check.command, " "), err, out)
		}
	}
}
