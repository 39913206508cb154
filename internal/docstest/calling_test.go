package docstest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/cli"
)

// sendFlags are the flags that `send` has besides those of every command.
func sendFlags(t *testing.T) map[string]bool {
	t.Helper()
	root := cli.New("myapp", nil)
	send, _, err := root.Find([]string{"send"})
	if err != nil {
		t.Fatal(err)
	}
	queues, _, err := root.Find([]string{"queues"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	send.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if queues.Flags().Lookup(f.Name) == nil && queues.InheritedFlags().Lookup(f.Name) == nil {
			flags[f.Name] = true
		}
	})
	return flags
}

func TestThePageOfOptionsIsComplete(t *testing.T) {
	t.Parallel()
	page := strings.Join(readPage(t, "docs/calling.md").prose, "\n")
	flags := sendFlags(t)
	for _, known := range []string{"wait", "queue-type", "declare"} { // no options of a call
		delete(flags, known)
	}
	if len(flags) < 20 {
		t.Errorf("only the flags %v were found", flags)
	}
	for name := range flags {
		if !strings.Contains(page, "`--"+name+"`") {
			t.Errorf("docs/calling.md does not say --%s", name)
		}
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`task\\.([A-Z]\\w*)").FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
	}
	for option := range callOptions(t) {
		if !named[option] {
			t.Errorf("docs/calling.md does not say task.%s", option)
		}
	}
}

// callOptions are the functions of package task that make an option of a call.
func callOptions(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "task/options.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]bool{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || len(f.Type.Results.List) != 1 {
			continue
		}
		if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && (result.Name == "CallOption" || result.Name == "SendOption") {
			options[f.Name.Name] = true
		}
	}
	if len(options) < 30 {
		t.Errorf("only the options %v were found", options)
	}
	return options
}
