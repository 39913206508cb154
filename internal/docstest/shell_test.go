//go:build unix

package docstest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; what is waited for takes a fraction of a second on an idle machine.
const patience = 40 * time.Second

// shell runs the commands of one page, one block after the other, where nothing is configured.
type shell struct {
	t        *testing.T
	page     page
	dir      string
	env      []string
	servers  servers
	services []*service
}

// service is a program that stays.
type service struct {
	cmd    *exec.Cmd
	output *output
	ended  chan struct{} // closed when it has exited
}

// output collects what is printed, for several goroutines.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{} // closed when the program says so
	once  sync.Once
}

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(data)
	for _, sign := range []string{"worker ready", " ready.", "site opened"} {
		if bytes.Contains(o.text.Bytes(), []byte(sign)) {
			o.once.Do(func() { close(o.ready) })
		}
	}
	return len(data), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs the blocks of the page.
func (s *shell) run() {
	defer s.stopServices() // before the cleanup of the servers that they use
	for i, b := range s.page.blocks {
		switch {
		case b.lang != "sh" && len(b.options) == 1:
			s.write(b.options[0], b.text)
		case b.lang != "sh" || b.has("checkout"):
		case b.has("service"):
			s.serve(b)
		default:
			want, compare := "", false
			if i+1 < len(s.page.blocks) && s.page.blocks[i+1].lang == "text" {
				want, compare = s.page.blocks[i+1].text, true
			}
			s.execute(b, want, compare)
		}
	}
}

func (s *shell) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(s.servers.address(text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// execute runs a block to its end and compares what it prints.
func (s *shell) execute(b block, want string, compare bool) {
	s.t.Helper()
	status, _ := strconv.Atoi(b.value("exit")) // none is 0
	for deadline := time.Now().Add(patience); ; {
		out := &output{ready: make(chan struct{})}
		cmd := s.command(b.text, out)
		_ = cmd.Run() // its status is looked at
		got := out.String()
		good := cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == status && (!compare || fits(s.servers.address(want), got))
		if good {
			return
		}
		if !b.has("retry") || time.Now().After(deadline) {
			s.t.Fatalf("%s: %s\nended with %v, want exit status %d, and printed\n%s\nthe page says\n%s\n%s",
				s.page.at(b), b.text, cmd.ProcessState, status, got, want, s.logs())
		}
		<-time.After(20 * time.Millisecond) // between two looks
	}
}

// serve starts a program that stays and waits until it is ready.
func (s *shell) serve(b block) {
	s.t.Helper()
	if !b.has("also") {
		s.stopServices()
	}
	before, last := "", strings.TrimSpace(b.text)
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		before, last = last[:i+1], last[i+1:]
	}
	v := &service{output: &output{ready: make(chan struct{})}, ended: make(chan struct{})}
	v.cmd = s.command(before+"exec "+last, v.output)
	if err := v.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = v.cmd.Wait() // its status is looked at by stop
		close(v.ended)
	}()
	s.services = append(s.services, v)
	select {
	case <-v.output.ready:
	case <-v.ended:
		s.t.Fatalf("%s: %s\nended with %v and printed\n%s", s.page.at(b), b.text, v.cmd.ProcessState, v.output)
	case <-time.After(patience):
		s.t.Fatalf("%s: %s\nis not ready and printed\n%s", s.page.at(b), b.text, v.output)
	}
}

// stopServices presses Ctrl+C in each terminal, the last one first.
func (s *shell) stopServices() {
	for _, v := range slices.Backward(s.services) {
		_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGINT) // it may have exited
		select {
		case <-v.ended:
		case <-time.After(patience):
			s.t.Errorf("%s: %v does not end and printed\n%s", s.page.path, v.cmd.Args, v.output)
			_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL)
			<-v.ended
		}
		viaGo := strings.Contains(v.cmd.Args[len(v.cmd.Args)-1], "exec go run ") // which fails when it is interrupted, whatever its program does
		if code := v.cmd.ProcessState.ExitCode(); code != 0 && !viaGo {
			s.t.Errorf("%s: %v ended with %v and printed\n%s", s.page.path, v.cmd.Args, v.cmd.ProcessState, v.output)
		}
	}
	s.services = nil
}

// command is the block as a shell script in the page's directory, in a process group of its own.
func (s *shell) command(script string, out *output) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 2*patience)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", s.servers.address(script))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

func (s *shell) logs() string {
	var all strings.Builder
	for _, v := range s.services {
		all.WriteString("log of " + strings.Join(v.cmd.Args, " ") + "\n" + v.output.String())
	}
	return all.String()
}
