//go:build unix

package lab

import "syscall"

// ownGroup makes a program and its children a group of their own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends whatever is left of a group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) } // mostly nothing is left
