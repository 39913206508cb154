package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongFlagsAreNamedBeforeAnythingIsMeasured(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-mode quik":           "-mode quik: want one of full, quick, smoke",
		"-run (":               "-run: error parsing regexp",
		"-run nosuch":          "-run nosuch: no scenario has such a name",
		"-mode quick -write .": "-write: a quick run is not for the pages",
		"-again a -from b":     "-again measures and -from does not",
		"drain":                "drain: want nothing beside the flags",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %s", args, err, want)
		}
	}
	if s, err := parse(strings.Fields("-run ^drain$ -mode smoke -out x.json")); err != nil || s.mode != "smoke" || s.out != "x.json" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestAFileThatIsNoRunIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.json")
	for text, want := range map[string]string{"": "no such file", "root:x": "is no run of the harness", "{}": "has no measures"} {
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := path
		if text == "" {
			file += ".missing"
		}
		if _, err := read(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: err = %v, want %s, and the file's name", text, err, want)
		}
	}
}

func TestARunOfAnotherModeIsNotMeasuredAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(path, []byte(`{"mode": "quick", "measures": [{"scenario": "drain"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"-again", path, "-run", "^drain$"})
	if want := path + " is a quick run: want -mode quick"; err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}
