package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// process is a worker process: this program once more.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has been waited for
}

// startWorker starts a worker process, whose log is appended to a file in its directory. It dies with this one.
func startWorker(cfg WorkerConfig) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(cfg.Dir, cfg.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program) //nolint:noctx // ended by its methods
	cmd.Env = append(os.Environ(), workerVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, orphanless()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("chaos: start worker: %w", err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() { // ends with the process
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process at once (SIGKILL).
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("chaos: kill worker: %w", err)
	}
	<-p.ended
	return nil
}

func (p *process) freeze() error { return instance.Pause(p.cmd.Process) }
func (p *process) thaw() error   { return instance.Continue(p.cmd.Process) }

// stop asks the process to end (SIGTERM) and returns an error unless it does, in time and with status 0.
func (p *process) stop(ctx context.Context, within time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("chaos: stop worker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		_ = p.kill()
		return fmt.Errorf("the worker did not end within %s of SIGTERM", within)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the worker ended with status %d", code)
	}
	return nil
}

// files is how many file descriptors the process has open.
func (p *process) files() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
	if err != nil {
		return 0, fmt.Errorf("chaos: count files of the worker: %w", err)
	}
	return len(entries), nil
}

// goroutines is how many it has, as it says itself.
func (p *process) goroutines(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "meter-"+strconv.Itoa(p.pid())))
	if err != nil {
		return 0, fmt.Errorf("chaos: %w", err)
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0, fmt.Errorf("chaos: count goroutines of the worker: %w", err)
	}
	return n, nil
}
