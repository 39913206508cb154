package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// guard runs the server "$@" after the first two words and sends it the signals named on its standard input, one to a line.
// When that input ends, the process that held the other end is gone: then the server gets the signal $1, and the directory $2,
// if there is one, is removed, more than once, since another server may still be writing its last.
const guard = `last=$1 dir=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
pid=$!
{
	while read -r signal; do kill -s "$signal" "$pid"; done
	trap '' TERM
	kill -s "$last" "$pid"
	[ -z "$dir" ] || for _ in 1 2 3 4 5 6; do sleep 0.5; rm -rf "$dir"; done
} <&3 2>/dev/null &
reader=$!
exec 3<&-
wait "$pid"
code=$?
kill "$reader" 2>/dev/null
exit "$code"`

// stopTimeout bounds how long a signalled process may take to end.
const stopTimeout = 30 * time.Second

// Command says how to run a server.
type Command struct {
	Args []string // the program and its arguments
	Env  []string // its whole environment
	Dir  string   // its working directory
	User string   // whom to run as when this process is root; empty: as root
	Log  string   // file that standard output and error are appended to

	// For Run, when this process ends without having stopped the server:
	Last   string // signal sent to the server, such as "QUIT"
	Remove string // directory removed then; empty: none
}

// Process is a running server. It does not get the terminal's interrupt, and it ends when this process does.
type Process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed once the process has been waited for

	mu    sync.Mutex
	input io.WriteCloser
}

// Run starts a server under the guard.
func Run(c Command) (*Process, error) {
	guarded := c
	guarded.Args = append([]string{"/bin/sh", "-c", guard, "guard", c.Last, c.Remove}, c.Args...)
	return start(guarded, c.Args[0])
}

// RunReading starts a server that itself ends with its standard input and is written to with Write.
func RunReading(c Command) (*Process, error) {
	return start(c, c.Args[0])
}

func start(c Command, name string) (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("instance: open log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	// no context: the process outlives the call that starts it and is ended by Signal, Kill or the end of its input
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:noctx
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, log, log
	if cmd.SysProcAttr, err = attributes(c.User); err != nil {
		return nil, err
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("instance: input of %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("instance: start %s: %w", name, err)
	}
	p := &Process{name: name, cmd: cmd, ended: make(chan struct{}), input: input}
	go func() { // ends with the process, which Close ends and waits for
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	return p, nil
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} {
	return p.ended
}

// Write gives text to the process's standard input.
func (p *Process) Write(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.input, text); err != nil {
		return fmt.Errorf("instance: write to %s: %w", p.name, err)
	}
	return nil
}

// Signal sends the guarded server a signal by name ("TERM", "KILL") and waits until it has ended.
func (p *Process) Signal(name string) error {
	if err := p.Write(name + "\n"); err != nil && !p.gone() {
		return err
	}
	return p.wait()
}

// Kill kills the process that Run or RunReading started, which for Run is only the guard, and waits until it has ended.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("instance: kill %s: %w", p.name, err)
	}
	return p.wait()
}

func (p *Process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *Process) wait() error {
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("instance: %s (pid %d) did not end within %s", p.name, p.cmd.Process.Pid, stopTimeout)
	}
}

// await calls ready every 20 ms until it returns nil, the process ends or ctx is done.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("instance: %s ended before it was ready: %w", p.name, err)
		case <-ctx.Done():
			return fmt.Errorf("instance: wait for %s: %w: %w", p.name, ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// environment is what a server may know of this process's environment: where programs are, and nothing that configures them.
func environment(home string, more ...string) []string {
	return append([]string{"PATH=" + searchPath(), "HOME=" + home, "LANG=C.UTF-8"}, more...)
}

// searchPath is PATH and the administrator's directories, which an ordinary user's often lacks.
func searchPath() string {
	return strings.TrimPrefix(os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", ":")
}

// tail returns the last lines of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
