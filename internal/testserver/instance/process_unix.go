//go:build unix

package instance

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// attributes puts a server into a process group of its own, away from the terminal's interrupt, and gives it to name when
// this process is root.
func attributes(name string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if name == "" || os.Geteuid() != 0 {
		return attr, nil
	}
	uid, gid, err := ids(name)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}

// own gives a directory to name when this process is root.
func own(dir, name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ids(name)
	if err != nil {
		return err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return fmt.Errorf("instance: give directory to %s: %w", name, err)
	}
	return nil
}

func ids(name string) (uid, gid int, err error) {
	account, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("instance: look up user: %w", err)
	}
	if uid, err = strconv.Atoi(account.Uid); err != nil {
		return 0, 0, fmt.Errorf("instance: user id of %s: %w", name, err)
	}
	if gid, err = strconv.Atoi(account.Gid); err != nil {
		return 0, 0, fmt.Errorf("instance: group id of %s: %w", name, err)
	}
	return uid, gid, nil
}

// Pause stops a process where it is (SIGSTOP).
func Pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// Continue ends Pause (SIGCONT).
func Continue(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
