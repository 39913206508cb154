package pool_test

import "syscall"

// thread is the number of the caller's operating system thread.
func thread() int { return syscall.Gettid() }
