package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/task"
)

// asProgram makes the test's own binary the program myapp, so that tests run it as a process of its own.
const asProgram = "TASKQ_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		cli.Main("myapp", func(app *taskq.App) error {
			return errors.Join(register(app), registerMarks(app), registerLimited(app))
		})
		return
	}
	os.Exit(m.Run())
}

type pair struct {
	X int `task:"x"`
	Y int `task:"y"`
}

type note struct {
	Text string `task:"text"`
	Loud bool   `task:"loud,optional"`
}

type nap struct {
	Seconds float64 `task:"seconds"`
}

type file struct {
	Path string `task:"path"`
}

// began tells the test that the task runs: that it was received says only that it may.
func began(ctx context.Context) {
	req := task.FromContext(ctx)
	fmt.Fprintf(os.Stderr, "%s[%s] began\n", req.Name, req.ID)
}

// register gives the program tasks that end in each way there is.
func register(app *taskq.App) error {
	return app.Register(
		task.New("tasks.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil }, task.Doc("add two numbers")),
		task.New("tasks.echo", func(_ context.Context, n note) (string, error) { return n.Text, nil }),
		task.New("tasks.boom", func(context.Context, struct{}) (any, error) { return nil, task.Raise("KeyError", "x") }),
		task.New("tasks.wait", func(ctx context.Context, _ struct{}) (any, error) {
			began(ctx)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}),
		task.New("tasks.nap", func(ctx context.Context, n nap) (string, error) {
			began(ctx)
			select {
			case <-time.After(time.Duration(n.Seconds * float64(time.Second))):
				return "rested", nil
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}),
		task.New("tasks.until", func(ctx context.Context, f file) (string, error) {
			began(ctx)
			if err := task.Progress(ctx, map[string]string{"until": f.Path}); err != nil {
				return "", err
			}
			for {
				if _, err := os.Stat(f.Path); err == nil {
					return "it is there", nil
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
					return "", context.Cause(ctx)
				}
			}
		}),
		task.New("tasks.stuck", func(ctx context.Context, _ struct{}) (any, error) {
			began(ctx)
			select {}
		}),
		task.New("tasks.flaky", func(ctx context.Context, _ struct{}) (string, error) {
			if task.FromContext(ctx).Retries == 0 {
				return "", task.RetryAfter(errors.New("nope"), 100*time.Millisecond)
			}
			return "at last", nil
		}),
		task.New("tasks.reject", func(context.Context, struct{}) (any, error) { return nil, task.Reject(errors.New("not mine")) }),
		task.Remote[pair, int]("python.add"),
	)
}

const patience = 20 * time.Second // for what takes milliseconds on an idle machine

// process is a running program.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *stream
	done           chan struct{} // closed when it has exited
}

// home makes an environment in which nothing is configured.
func home(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	// GORACE: else the race detector adds a second to the end of each process
	return slices.Clip(append([]string{asProgram + "=1", "GORACE=atexit_sleep_ms=0", "HOME=" + dir, "XDG_STATE_HOME=" + dir, "PATH=" + os.Getenv("PATH")}, more...)) // tests append to it side by side
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, stdout: newStream(), stderr: newStream(), done: make(chan struct{})}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], args...) //nolint:gosec // the test's own binary
	p.cmd.Env, p.cmd.Dir = env, t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit status is looked at by wait
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has mostly exited
		<-p.done
	})
	return p
}

// wait waits for the end and returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the program does not end\nstdout: %s\nstderr: %s", p.stdout, p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop shuts a worker down warm.
func (p *process) stop() {
	p.t.Helper()
	p.signal(os.Interrupt)
	if code := p.wait(); code != 0 {
		p.t.Errorf("exit status of a warm shutdown = %d, want 0\n%s", code, p.stderr)
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// run runs the program to its end.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, env, args...)
	code = p.wait()
	return p.stdout.String(), p.stderr.String(), code
}

// must runs the program and returns what it prints; it must succeed.
func must(t *testing.T, env []string, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, env, args...)
	if code != 0 {
		t.Fatalf("%s: exit status %d, want 0\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// startWorker starts a worker and waits until it consumes.
func startWorker(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := start(t, env, append([]string{"worker"}, args...)...)
	p.stderr.waitFor(t, "worker ready")
	return p
}

// stream is output that tests can wait for.
type stream struct {
	mu      sync.Mutex
	data    bytes.Buffer
	ended   bool
	changed chan struct{} // closed by the next change
}

var _ io.Writer = (*stream)(nil)

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
	return s.data.Write(data)
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.change()
}

func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.String()
}

func (s *stream) waitFor(t *testing.T, text string) {
	t.Helper()
	if !s.sees(t, text) {
		t.Fatalf("the program ended without %q: %s", text, s)
	}
}

// sees waits for the text; false when the program has ended without it.
func (s *stream) sees(t *testing.T, text string) bool {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		found, ended, changed, all := strings.Contains(s.data.String(), text), s.ended, s.changed, s.data.String()
		s.mu.Unlock()
		switch {
		case found:
			return true
		case ended:
			return false
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %q within %s: %s", text, patience, all)
		}
	}
}
