package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sources is a module with one package of each kind of outcome.
var sources = map[string]string{
	"go.mod": "module example.test/m\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
func TestOne(t *testing.T) { t.Log("quiet"); t.Run("sub", func(t *testing.T) {}) }
func TestLater(t *testing.T) { t.Skip("not now") }`,
	"bad/bad_test.go": `package bad
import "testing"
func TestGood(t *testing.T) { t.Log("quiet") }
func TestBad(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("the reason") }) }`,
	"broken/broken_test.go": "package broken\nvar x int = \"text\"\n",
	"panicking/panicking_test.go": `package panicking
import ("os"; "testing")
func TestMain(m *testing.M) { m.Run(); println("left behind"); os.Exit(3) }
func TestOne(t *testing.T) {}`,
	"none/none.go":             "package none\n",
	"nested/go.mod":            "module example.test/nested\n\ngo 1.26\n",
	"nested/nested_test.go":    "package nested\nimport \"testing\"\nfunc TestNested(t *testing.T) {}\n",
	"nested/testdata/x/go.mod": "not a module",
	"early/go.mod":             "module example.test/early\n\ngo 1.26\n",
}

func TestAModuleIsLeftOutWhenItHasNotThePackages(t *testing.T) {
	t.Parallel()
	root := writeModule(t)
	for _, c := range []struct {
		args string
		want bool
	}{
		{"-race ./...", true}, {"./good", true}, {"./good/...", true}, {"./good ./absent", false}, {"./absent/...", false}, {"-v", true},
	} {
		if got := has(root, strings.Fields(c.args)); got != c.want {
			t.Errorf("has(%s) = %t, want %t", c.args, got, c.want)
		}
	}
}

func TestSummaryTellsEveryOutcome(t *testing.T) {
	t.Parallel()
	root := writeModule(t)
	modules, err := findModules(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{root, filepath.Join(root, "early"), filepath.Join(root, "nested")}; strings.Join(modules, " ") != strings.Join(want, " ") {
		t.Errorf("modules = %v, want %v", modules, want)
	}
	var out bytes.Buffer
	s := newSummary(&out)
	for _, dir := range modules {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		events, _ := cmd.Output() // that it fails is the point
		if err := s.read(bytes.NewReader(events)); err != nil {
			t.Fatal(err)
		}
	}
	s.finish(90 * time.Second)
	got := out.String()
	for _, want := range []string{
		"ok    example.test/m/good  2 passed, 1 skipped",
		"FAIL  example.test/m/bad  1 passed, 2 failed",
		"the reason",
		"cannot use \"text\"",
		"left behind",
		"ok    example.test/nested  1 passed",
		"skipped: example.test/m/good TestLater\n",
		"failed:  example.test/m/bad TestBad/sub\n",
		"failed:  example.test/m/broken\n",
		"failed:  example.test/m/panicking\n",
		"5 packages tested, 3 of them failed, 1 without tests, in 90 s\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing in the output: %q", want)
		}
	}
	if last := "\n5 passed, 4 failed, 1 skipped\n"; !strings.HasSuffix(got, last) {
		t.Errorf("last line is not %q", last)
	}
	if strings.Contains(got, "quiet") {
		t.Error("what a test that passed has written is shown")
	}
	if t.Failed() {
		t.Logf("output:\n%s", got)
	}
}

func TestSummaryNoticesTestsThatNeverEnded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newSummary(&out)
	err := s.read(strings.NewReader(`{"Action":"run","Package":"p","Test":"TestOne"}
{"Action":"output","Package":"p","Test":"TestOne","Output":"=== RUN   TestOne\n"}
no event`))
	if err != nil {
		t.Fatal(err)
	}
	s.finish(time.Second)
	if got := out.String(); !strings.HasPrefix(got, "no event") || !strings.Contains(got, "p did not come to its end") {
		t.Errorf("output:\n%s", got)
	}
	if !s.failed() {
		t.Error("the run counts as passed")
	}
}

func writeModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range sources {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
