package interop_test

import (
	_ "embed"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

var (
	//go:embed testdata/options.py
	optionsPy string
	//go:embed testdata/options-main.txt
	optionsOfMain string // what it printed with Celery's main branch of August 2026
)

func TestThePageFromCeleryNamesEveryOptionOfCelery(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, page := range []string{"from-celery.md", "calling.md"} {
		data, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	named, prefixes := map[string]bool{}, []string{}
	for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text.String(), -1) {
		for name := range strings.FieldsFuncSeq(code[1], func(r rune) bool { return strings.ContainsRune(" =(),", r) }) {
			named[name] = true
			if prefix, ok := strings.CutSuffix(name, "_*"); ok {
				prefixes = append(prefixes, prefix+"_")
			}
		}
	}
	live := strings.Fields(testserver.NewPython(t, testserver.PythonConfig{}).Run(optionsPy))
	if len(live) < 200 {
		t.Fatalf("Python printed only %d names", len(live))
	}
	seen := map[string]bool{}
	for _, name := range append(live, strings.Fields(optionsOfMain)...) {
		if !seen[name] && !named[name] && !hasAnyPrefix(name, prefixes) {
			t.Errorf("docs/from-celery.md does not say what becomes of %s", name)
		}
		seen[name] = true
	}
}

func hasAnyPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
