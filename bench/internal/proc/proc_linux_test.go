package proc_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/proc"
)

// burns is what each burning process of the tests uses, more than twenty ticks.
const burns = 250 * time.Millisecond

// TestMain is also the program that the tests run: one that burns CPU itself, in a child that has ended, and in one that lives.
func TestMain(m *testing.M) {
	switch os.Getenv("PROC_TEST") {
	case "":
		os.Exit(m.Run())
	case "parent":
		parent()
	case "ending":
		burn()
	case "living":
		burn()
		fmt.Println("burnt")
		<-make(chan struct{})
	}
}

// burn uses CPU of this process until it has used enough.
func burn() {
	var u syscall.Rusage
	for begin := time.Duration(0); begin < burns; {
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		begin = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
}

func parent() {
	child := func(kind string) *exec.Cmd {
		cmd := exec.Command(os.Args[0]) //nolint:gosec // this program
		cmd.Env, cmd.Stdout = append(os.Environ(), "PROC_TEST="+kind), os.Stdout
		return cmd
	}
	burn()
	if err := child("ending").Run(); err != nil {
		panic(err)
	}
	if err := child("living").Run(); err != nil { // it says when it has burnt, and is killed
		os.Exit(1)
	}
}

func TestTheCPUOfAProcessIsThatOfItsTree(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), "PROC_TEST=parent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it runs until now
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "burnt\n" {
		t.Fatalf("the program said %q, %v", line, err)
	}
	s, err := proc.Take()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Tree(cmd.Process.Pid)); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
	cpu, err := s.CPU(cmd.Process.Pid)
	if least := 3*burns - 50*time.Millisecond; err != nil || cpu < least || cpu > time.Minute {
		t.Errorf("CPU = %s, %v; want more than %s", cpu, err, least)
	}
	peak, err := s.Peak(cmd.Process.Pid)
	now, err2 := s.Resident(cmd.Process.Pid)
	if err != nil || err2 != nil || peak < now || now < 1<<20 || peak > 1<<32 {
		t.Errorf("peak %d, %v, now %d, %v", peak, err, now, err2)
	}
}

func TestOfAProcessThatIsGoneNothingIsKnown(t *testing.T) {
	t.Parallel()
	s, err := proc.Take()
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 1 << 30
	if _, err := s.CPU(nobody); !errors.Is(err, proc.ErrUnknown) {
		t.Errorf("CPU: error = %v", err)
	}
	if _, err := s.Peak(nobody); !errors.Is(err, proc.ErrUnknown) {
		t.Errorf("Peak: error = %v", err)
	}
}

func TestAServerIsFoundByItsPortAndName(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := listener.Addr().(*net.TCPAddr).Port
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := proc.Listening(port, "another", strings.TrimSpace(string(comm))); err != nil || pid != os.Getpid() {
		t.Errorf("pid = %d, %v; want %d", pid, err, os.Getpid())
	}
	if _, err := proc.Listening(port, "another"); !errors.Is(err, proc.ErrUnknown) {
		t.Errorf("of another name: error = %v", err)
	}
	if _, err := proc.Listening(1, strings.TrimSpace(string(comm))); !errors.Is(err, proc.ErrUnknown) {
		t.Errorf("at another port: error = %v", err)
	}
}
