//go:build unix

package docstest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestCommandsDoWhatThePagesSay(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	install(t, bin)
	for _, p := range pages(t) {
		if !hasCommands(p) || p.path == "README.zh-CN.md" { // whose commands are those of README.md; another test compares them
			continue
		}
		t.Run(strings.ReplaceAll(p.path, "/", "_"), func(t *testing.T) {
			t.Parallel()
			newShell(t, p, bin).run()
		})
	}
}

func hasCommands(p page) bool {
	for _, b := range p.blocks {
		if b.lang == "sh" && !b.has("checkout") {
			return true
		}
	}
	return false
}

// install builds taskq and the program of the README, and gives Celery the name that readers have it under: Debian's has none.
func install(t *testing.T, bin string) {
	t.Helper()
	for name, source := range map[string]string{"taskq": "./cmd/taskq", "myapp": "./examples/own-task"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, name), source)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	python := os.Getenv(testserver.PythonVariable)
	if python == "" {
		return
	}
	for name, script := range map[string]string{
		"celery":  "#!/bin/sh\nexec " + python + " -m celery \"$@\"\n",
		"python3": "#!/bin/sh\nexec " + python + " \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func newShell(t *testing.T, p page, bin string) *shell {
	t.Helper()
	s := &shell{t: t, page: p, dir: t.TempDir(), servers: servers{t: t, site: freePort(t)}}
	home := t.TempDir()
	s.env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + home, "XDG_STATE_HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8",
		"ADDR=" + s.servers.site, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
	}
	if strings.HasPrefix(p.path, "examples/") { // its commands are for a checkout
		dir, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		s.dir, s.env = dir, append(s.env, goEnvironment(t)...)
	}
	return s
}

// goEnvironment lets the go command find its caches although HOME is another one.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return env
}

// djangoTable is what Django's migration makes of the model in docs/access-record.md.
const djangoTable = `CREATE TABLE site_accessrecord (
	id bigserial PRIMARY KEY,
	path varchar(255) NOT NULL, query_str varchar(255) NOT NULL, address varchar(64) NOT NULL, user_agent varchar(255) NOT NULL,
	referer varchar(255) NOT NULL, atime timestamp with time zone NOT NULL, source varchar(255) NOT NULL)`

func prepareDjangoTable(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), djangoTable); err != nil {
		t.Fatal(err)
	}
}

// What a reader does in a checkout is not repeated within the tests: building, testing and formatting are CI's.
func TestCheckoutCommandsNameWhatExists(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, tested := "\n"+string(data), "\n"+readPage(t, "examples/README.md").text
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.lang != "sh" || !b.has("checkout") {
				continue
			}
			for line := range strings.Lines(b.text) {
				command, _, _ := strings.Cut(line, "#")
				if command = strings.TrimSpace(command); command != "" && !knownCommand(command, makefile, tested) {
					t.Errorf("%s: %q is no command that the tests or CI run", p.at(b), command)
				}
			}
		}
	}
}

func knownCommand(command, makefile, tested string) bool {
	words := strings.Fields(command)
	last := words[len(words)-1]
	switch words[0] {
	case "make":
		return strings.Contains(makefile, "\n"+words[1]+":")
	case "git":
		return command == "git clone https://github.com/seed-399731e2/taskq"
	case "cd":
		return last == "taskq"
	case ".ci/run":
		_, err := os.Stat(filepath.Join(root, command))
		return err == nil
	}
	if strings.HasPrefix(command, "go install ./") {
		_, err := os.Stat(filepath.Join(root, last))
		return err == nil
	}
	return strings.Contains(tested, "\n"+command+"\n")
}
