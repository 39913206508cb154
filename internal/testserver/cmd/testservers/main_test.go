//go:build unix

package main_test

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

func TestRunsTheCommandWithGivenServersAndItsExitCode(t *testing.T) {
	t.Parallel()
	program := build(t)
	cmd := exec.CommandContext(t.Context(), program, "sh", "-c", "echo $TASKQ_TEST_AMQP_URL $TASKQ_TEST_REQUIRE; exit 7")
	cmd.Env = environment(testserver.AMQPVariable+"=amqp://given", testserver.PostgresVariable+"=postgres://given", testserver.RedisVariable+"=redis://given")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("ended with %v, want exit code 7", err)
	}
	if got := strings.TrimSpace(string(out)); got != "amqp://given 1" {
		t.Errorf("the command saw %q, want the given URL and 1", got)
	}
}

func TestTakesEverythingDownWhenTerminated(t *testing.T) {
	t.Parallel()
	r := start(t)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err == nil {
		t.Error("exit code 0 after an interrupt")
	}
	for _, variable := range []string{testserver.AMQPVariable, testserver.PostgresVariable, testserver.RedisVariable} {
		if address := r.host(variable); listening(t, address) {
			t.Errorf("the server of %s still listens", variable)
		}
	}
	if _, err := os.Stat(r.env[instance.DirVariable]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory of the run: %v, want that it does not exist", err)
	}
	pid, err := strconv.Atoi(r.env["COMMAND_PID"])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the command's process: %v, want that it does not exist", err)
	}
}

func TestServersEndWhenTheirStarterIsKilled(t *testing.T) {
	t.Parallel()
	r := start(t, testserver.AMQPVariable+"=amqp://given")
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()                                                    // reports the kill
	files := filepath.Join(r.env[instance.DirVariable], "taskq-*", "*") // the directory may be in one that only root may change
	eventually(t, "PostgreSQL and Redis ended and their files removed", func() bool {
		left, err := filepath.Glob(files)
		return err == nil && len(left) == 0 && !listening(t, r.host(testserver.PostgresVariable)) && !listening(t, r.host(testserver.RedisVariable))
	})
}

// eventually waits until something has become true, for two minutes at the most.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * time.Minute)
	for !happened() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// running is the program with a command that only waits.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	env map[string]string // of the command; its process id is COMMAND_PID
}

// start returns once the command runs.
func start(t *testing.T, more ...string) running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "env")
	script := `(env; echo COMMAND_PID=$$) >"$0.part"; mv "$0.part" "$0"; exec sleep 600`
	r := running{t: t, cmd: exec.Command(build(t), "sh", "-c", script, file), env: map[string]string{}}
	r.cmd.Env = environment(more...)
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	var text []byte
	eventually(t, "the command runs", func() bool {
		var err error
		text, err = os.ReadFile(file)
		return err == nil
	})
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.env[name] = value
	}
	return r
}

// end removes what a killed program leaves: the command and the directory.
func (r running) end() {
	_ = r.cmd.Process.Kill()
	if pid, err := strconv.Atoi(r.env["COMMAND_PID"]); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if dir := r.env[instance.DirVariable]; dir != "" {
		_ = os.RemoveAll(dir)
	}
}

func (r running) host(variable string) string {
	r.t.Helper()
	u, err := url.Parse(r.env[variable])
	if err != nil || u.Port() == "" {
		r.t.Fatalf("%s of the command is no URL with a port", variable)
	}
	return u.Host
}

func listening(t *testing.T, address string) bool {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// build needs the servers' programs, which the built program would otherwise install.
func build(t *testing.T) string {
	t.Helper()
	if missing := instance.Missing(t.Context(), ""); len(missing) > 0 {
		if os.Getenv(testserver.RequireVariable) == "1" {
			t.Fatal(missing[0])
		}
		t.Skip(missing[0])
	}
	path := filepath.Join(t.TempDir(), "testservers")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// environment is this one without what it says of servers.
func environment(more ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TASKQ_TEST_") {
			env = append(env, entry)
		}
	}
	return append(env, more...)
}
