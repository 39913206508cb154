//go:build !linux

package chaos

import "syscall"

// orphanless does nothing: only Linux ends a process with its parent.
func orphanless() *syscall.SysProcAttr { return nil }
