// Package lab measures subjects: it builds them, gives each a fresh vhost or database, fills queues, starts the programs, reads what
// they and the servers use, and proves afterwards that every task ran. What cannot be proved is no measure.
package lab

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Config says what a lab works with.
type Config struct {
	Root    string    // the directory of the module bench
	Servers Servers   // to measure against
	Python  string    // that has Celery; "" finds one
	Log     io.Writer // progress, a line each; nil: none
	// Patience is how long nothing may happen: no task that starts, no end after SIGTERM, no message that comes back; 0 means 30 s.
	Patience time.Duration
}

// Lab measures.
type Lab struct {
	cfg   Config
	dir   string // of programs and ledgers
	began time.Time
	pids  map[string]int // of the servers, by their names in result.Measure.CPU

	mu    sync.Mutex
	built map[string]string // programs by their directory
	names int               // of ledgers and stores
}

// New returns a lab. Close removes what it makes.
func New(cfg Config) (*Lab, error) {
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	cfg.Root, cfg.Patience = root, cmp.Or(cfg.Patience, 30*time.Second)
	dir, err := os.MkdirTemp("", "taskq-bench-")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return &Lab{cfg: cfg, dir: dir, began: time.Now(), pids: cfg.Servers.processes(), built: map[string]string{}}, nil
}

// Close removes programs and ledgers.
func (l *Lab) Close() error { return os.RemoveAll(l.dir) }

// Say writes a line of progress, with the time since the beginning.
func (l *Lab) Say(format string, args ...any) {
	if l.cfg.Log != nil {
		_, _ = fmt.Fprintf(l.cfg.Log, "%6.1f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...)) // nobody reads it, then
	}
}

// Build builds a program of the module, such as subjects/bare, or of taskq, such as ../cmd/taskq, once.
func (l *Lab) Build(ctx context.Context, dir string, flags ...string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if program, ok := l.built[dir]; ok {
		return program, nil
	}
	begin := time.Now()
	program := filepath.Join(l.dir, fmt.Sprintf("%s-%d", filepath.Base(dir), len(l.built)))
	args := append(append([]string{"build"}, flags...), "-o", program, ".")
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the tables' names
	cmd.Dir = filepath.Join(l.cfg.Root, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lab: build %s: %w\n%s", dir, err, out)
	}
	l.built[dir] = program
	l.Say("built %s in %.1f s", dir, time.Since(begin).Seconds())
	return program, nil
}

// file returns the path of a file that does not exist yet.
func (l *Lab) file(kind string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names++
	return filepath.Join(l.dir, fmt.Sprintf("%s-%d", kind, l.names))
}
