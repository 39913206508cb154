package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
)

const (
	readyWait = time.Minute // for a program to be ready: Python imports for long on a busy machine
	tailSize  = 2000        // bytes of its standard error that are shown
)

// program is a running subject.
type program struct {
	subject  Subject
	patience time.Duration // to end after SIGTERM
	cmd      *exec.Cmd
	stderr   string // a file, so that nobody has to read what is logged
	begun    time.Time
	readyIn  time.Duration
	ready    chan struct{} // closed when it said so
	ended    chan struct{} // closed when it has ended; the fields below are set then
	account  order.Account
	err      error
}

// start starts a program and waits until it is ready.
func (l *Lab) start(ctx context.Context, s Subject, o order.Order, env []string) (*program, error) {
	command, err := l.command(ctx, s)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	p := &program{subject: s, patience: l.cfg.Patience, stderr: l.file("stderr"), ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(command[0], append(command[1:], string(text))...) //nolint:gosec,noctx // it is ended by SIGTERM, not by a context
	p.cmd.Env, p.cmd.Dir, p.cmd.SysProcAttr = append(append(os.Environ(), s.Env...), env...), l.dir, ownGroup()
	stderr, err := os.Create(p.stderr)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	defer func() { _ = stderr.Close() }() // the program has it
	p.cmd.Stderr = stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	go p.read(stdout)
	if err := p.await(ctx, p.ready, readyWait, "be ready"); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// read follows the program's standard output to its end.
func (p *program) read(stdout io.Reader) {
	defer close(p.ended)
	var last string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if last = lines.Text(); last == order.Ready && p.readyIn == 0 {
			p.readyIn = time.Since(p.begun)
			close(p.ready)
		}
	}
	p.err = errors.Join(lines.Err(), p.cmd.Wait())
	if p.err == nil {
		p.err = json.Unmarshal([]byte(last), &p.account)
	}
}

// await waits for something of the program's; that it ends before is an error unless it was its end that is waited for.
func (p *program) await(ctx context.Context, what <-chan struct{}, patience time.Duration, name string) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-what:
		return nil
	case <-p.ended:
		select {
		case <-what: // and has ended since, as senders of little do
			return nil
		default:
		}
		return p.failure(fmt.Errorf("it ended before it could %s: %w", name, errOr(p.err, errors.New("with success"))))
	case <-timer.C:
		return p.failure(fmt.Errorf("it did not %s within %s", name, patience))
	case <-ctx.Done():
		return p.failure(ctx.Err())
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// failure is an error of the program, with what it said last.
func (p *program) failure(err error) error {
	if said := p.said(); said != "" {
		return fmt.Errorf("lab: %s: %w\n%s", p.subject, err, said)
	}
	return fmt.Errorf("lab: %s: %w", p.subject, err)
}

// stop ends a worker by SIGTERM and returns its account. One that does not end in time is killed, and has failed.
func (p *program) stop() (order.Account, error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which its account tells
	return p.wait(p.patience)
}

// wait waits until the program has ended, and returns its account.
func (p *program) wait(patience time.Duration) (order.Account, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
		return order.Account{}, p.failure(fmt.Errorf("it did not end within %s and was killed", patience))
	}
	if p.err != nil {
		return p.account, p.failure(p.err)
	}
	killGroup(p.cmd.Process.Pid) // nothing of it may run beside the next one
	return p.account, nil
}

// kill ends the program and its children at once, and waits for that.
func (p *program) kill() {
	killGroup(p.cmd.Process.Pid)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// spent is the CPU time of a program that has ended, with its children.
func (p *program) spent() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// said is the end of what the program wrote to its standard error.
func (p *program) said() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text[max(len(text)-tailSize, 0):]))
}
