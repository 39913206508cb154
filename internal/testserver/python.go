package testserver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// pythonTimeout bounds one script.
const pythonTimeout = 60 * time.Second

// PythonConfig says what a test's Python programs find.
type PythonConfig struct {
	Broker  string            // URL; given as CELERY_BROKER_URL, which Celery reads when an app names no broker
	Modules map[string]string // file name to source, such as "tasks.py"; importable
	Env     []string          // "NAME=value", more environment
	Needs   []string          // more modules than celery that must be there
}

// Python runs programs in a real Python with a real Celery.
type Python struct {
	t    testing.TB
	path string
	dir  string
	env  []string
}

// NewPython finds a Python that can import celery and lays out its modules.
func NewPython(t testing.TB, cfg PythonConfig) *Python {
	t.Helper()
	path, err := instance.FindPython(t.Context(), os.Getenv(PythonVariable))
	Started(t, "Celery", err)
	for _, module := range cfg.Needs {
		Started(t, module, instance.FindModule(t.Context(), path, module))
	}
	dir := t.TempDir()
	for name, source := range cfg.Modules {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), "PYTHONPATH="+dir, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1")
	if cfg.Broker != "" {
		env = append(env, "CELERY_BROKER_URL="+cfg.Broker)
	}
	return &Python{t: t, path: path, dir: dir, env: append(env, cfg.Env...)}
}

// Run runs a script with arguments and returns its standard output. A script that fails, or takes longer than a minute, fails
// the test with what it wrote to standard error.
func (p *Python) Run(script string, args ...string) string {
	p.t.Helper()
	return p.run(append([]string{"-c", script}, args...)...)
}

// run runs Python with arguments.
func (p *Python) run(args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), pythonTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if cause := ctx.Err(); cause != nil {
			err = errors.Join(cause, err)
		}
		p.t.Fatalf("python: %v\nstandard output:\n%s\nstandard error:\n%s", err, &stdout, &stderr)
	}
	return stdout.String()
}

// Worker starts "celery -A app worker" with these arguments after it (-P solo, the queues, …) and waits until it is ready. It
// ends with the test; when the test has failed its log is shown.
func (p *Python) Worker(app string, args ...string) *CeleryWorker {
	p.t.Helper()
	log := filepath.Join(p.t.TempDir(), "celery.log")
	command := append([]string{p.path, "-m", "celery", "-A", app, "worker", "--loglevel=INFO"}, args...)
	process, err := instance.Run(instance.Command{Args: command, Env: p.env, Dir: p.dir, Log: log, Last: "KILL"})
	if err != nil {
		p.t.Fatalf("start celery worker: %v", err)
	}
	w := &CeleryWorker{t: p.t, process: process, log: log}
	p.t.Cleanup(w.end)
	w.WaitForLog(" ready.")
	return w
}

// CeleryWorker is a running Python worker.
type CeleryWorker struct {
	t       testing.TB
	process *instance.Process
	log     string
}

// Log returns what the worker has written so far.
func (w *CeleryWorker) Log() string {
	w.t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// WaitForLog waits until the worker has written text; it fails the test when the worker ends first or a minute has passed.
func (w *CeleryWorker) WaitForLog(text string) {
	w.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(pythonTimeout)
	for !strings.Contains(w.Log(), text) {
		select {
		case <-w.process.Ended():
			w.t.Fatalf("celery worker ended before it wrote %q", text)
		case <-deadline:
			w.t.Fatalf("celery worker did not write %q within %s", text, pythonTimeout)
		case <-ticker.C:
		}
	}
}

// Stop asks the worker for a warm shutdown (TERM) and waits until it has ended.
func (w *CeleryWorker) Stop() {
	w.t.Helper()
	if err := w.process.Signal("TERM"); err != nil {
		w.t.Errorf("stop celery worker: %v", err)
	}
}

// Kill kills the worker (KILL), as a crash does. With -P solo nothing is left of it.
func (w *CeleryWorker) Kill() {
	w.t.Helper()
	if err := w.process.Signal("KILL"); err != nil {
		w.t.Errorf("kill celery worker: %v", err)
	}
}

func (w *CeleryWorker) end() {
	w.t.Helper()
	w.Stop()
	if w.t.Failed() {
		w.t.Logf("log of the celery worker:\n%s", w.Log())
	}
}
