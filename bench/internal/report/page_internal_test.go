package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// golden compares with a file of testdata; with TASKQ_WRITE_GOLDEN=1 it writes that instead.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if os.Getenv("TASKQ_WRITE_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs, - wanted, + got (TASKQ_WRITE_GOLDEN=1 writes it):\n%s", path, diff)
	}
}

func place(part string) string { return mark(part) + "\nof another run\n" + end + "\n" }

// repository is a directory with the pages that are filled.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"README.md": "# taskq\n\n" + place("headline") + "\nmore\n", "README.zh-CN.md": "# 任务\n" + place("headline"),
		"docs/performance.md": "# Performance\n\nBy hand.\n\n" + place("machine") + place("headline") + "\n## Targets\n\n" + place("targets") + place("scenarios") + "The end.\n",
		"docs/tuning.md":      "# Tuning\n\n" + place("prefetch") + "Text.\n" + place("GOGC") + place(others),
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, root, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestARunIsWrittenIntoThePages(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for range 2 { // what is written twice is as what is written once
		if err := Write(root, exampleRun()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"docs/performance.md", "docs/performance.svg", "docs/tuning.md", "README.md", "README.zh-CN.md"} {
			golden(t, filepath.Base(path), read(t, root, path))
		}
	}
}

func TestARunIsShownOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Text(&out, exampleRun()); err != nil {
		t.Fatal(err)
	}
	golden(t, "run.txt", out.String())
}

func TestASmokeRunIsHeldToNoTargets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	run := exampleRun()
	run.Mode = smoke
	if err := Text(&out, run); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "bare client") || !strings.Contains(got, "mean nothing") || strings.Contains(got, "Targets") {
		t.Errorf("a smoke run is shown as\n%s", got)
	}
}

func TestARunThatMeasuredNothingIsShown(t *testing.T) {
	t.Parallel()
	root := repository(t)
	if err := Write(root, result.Run{Mode: full}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"docs/performance.md": "| start to ready | ≤ 0.30 s | – | not measured |", "docs/performance.svg": "Nothing was measured",
		"docs/tuning.md": mark("prefetch") + "\n\nNot measured in this run.\n\n" + end, "README.md": "What taskq costs is [measured](docs/performance.md)",
	} {
		if got := read(t, root, path); !strings.Contains(got, want) || strings.Contains(got, "another run") {
			t.Errorf("%s does not say %q, or says what was there before:\n%s", path, want, got)
		}
	}
	var out bytes.Buffer
	if err := Text(&out, result.Run{}); err != nil || out.Len() > 0 {
		t.Errorf("the terminal shows %q, %v; want nothing", out.String(), err)
	}
}

func TestOnlyAFullRunIsWritten(t *testing.T) {
	t.Parallel()
	root := repository(t)
	run := exampleRun()
	run.Mode = "quick"
	err := Write(root, run)
	if err == nil || !strings.Contains(err.Error(), "a quick run is not for the pages") {
		t.Errorf("err = %v", err)
	}
	if got := read(t, root, "README.md"); !strings.Contains(got, "of another run") {
		t.Errorf("README.md was written: %s", got)
	}
}

func TestNothingIsWrittenWhenAPlaceIsMissing(t *testing.T) {
	t.Parallel()
	for spoilt, wantErr := range map[string]string{
		mark("targets"): "docs/performance.md: there is no place for targets",
		end:             "docs/performance.md: the place of headline has no end",
	} {
		root := repository(t)
		path := filepath.Join(root, "docs/performance.md")
		text := read(t, root, "docs/performance.md")
		if spoilt == end {
			text = text[:strings.Index(text, mark("headline"))+len(mark("headline"))]
			text += mark("targets") + mark("scenarios")
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, mark("targets"), map[bool]string{true: mark("targets")}[spoilt == end])), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Write(root, exampleRun()); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("err = %v, want %s", err, wantErr)
		}
		if got := read(t, root, "README.md"); !strings.Contains(got, "of another run") {
			t.Errorf("README.md was written: %s", got)
		}
	}
}

func TestThePagesHaveAPlaceForEveryPart(t *testing.T) {
	t.Parallel()
	for page, parts := range map[string]map[string]string{
		"docs/performance.md": performance(exampleRun()), "docs/tuning.md": tuning(exampleRun()),
		"README.md": {"headline": english(exampleRun())}, "README.zh-CN.md": {"headline": chinese(exampleRun())},
	} {
		filled, err := fill(read(t, "../../..", page), parts)
		if err != nil {
			t.Errorf("%s: %v", page, err)
		}
		for part, text := range parts {
			if !strings.Contains(filled, strings.TrimSpace(text)) {
				t.Errorf("%s does not have %s", page, part)
			}
		}
	}
}

func TestTheChartIsXMLWithATitle(t *testing.T) {
	t.Parallel()
	ours := drained("", "<taskq>", `"&"`+strings.Repeat("x", 100), 1, 1, 1)
	image := chart([]result.Measure{ours})
	decoder := xml.NewDecoder(strings.NewReader(image))
	var texts []string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, image)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	for _, want := range []string{chartTitle, "<taskq>", `"&"` + strings.Repeat("x", 31) + "…"} {
		found := false
		for _, text := range texts {
			found = found || text == want
		}
		if !found {
			t.Errorf("the chart has no text %q:\n%s", want, image)
		}
	}
}

func TestFailedMeasuresAreNotInTheChart(t *testing.T) {
	t.Parallel()
	image := chart(headline(exampleRun()))
	if strings.Contains(image, "River") || !strings.Contains(image, "gocelery") {
		t.Errorf("the chart is not of those who succeeded:\n%s", image)
	}
	missing := drained("", result.Taskq, "", 1000, 0, 10)
	if image := chart([]result.Measure{missing}); !strings.Contains(image, ">"+none+"<") || strings.Contains(image, `class="servers ours" x="590" y="96"`) {
		t.Errorf("the chart has a bar for CPU that was not measured:\n%s", image)
	}
}
