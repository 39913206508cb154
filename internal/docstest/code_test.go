package docstest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShownGoCodeIsCodeThatCompiles(t *testing.T) {
	t.Parallel()
	var sources []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		data, err := os.ReadFile(path)
		sources = append(sources, normal(string(data)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(sources, "\n")
	count := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.lang != "go" {
				continue
			}
			count++
			if !strings.Contains(all, normal(b.text)) {
				t.Errorf("%s: no Go file has this code:\n%s", p.at(b), b.text)
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d blocks of Go were found", count)
	}
}

// normal is code without its indentation.
func normal(code string) string {
	var all strings.Builder
	for line := range strings.Lines(code) {
		all.WriteString(strings.TrimSpace(line) + "\n")
	}
	return all.String()
}

func TestTheProgramOfTheReadmeIsTheExample(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(root, "examples/own-task/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(data), "package main")
	for _, b := range readPage(t, "README.md").blocks {
		if b.lang == "go" && strings.TrimPrefix(b.text, "package main") == program {
			return
		}
	}
	t.Error("README.md does not show examples/own-task/main.go")
}

func TestExamplesAreShort(t *testing.T) {
	t.Parallel()
	mains, err := filepath.Glob(filepath.Join(root, "examples/*/main.go"))
	if err != nil || len(mains) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range mains {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(data), "\n"); n > 60 {
			t.Errorf("%s has %d lines, want 60 at the most", path, n)
		}
	}
}
