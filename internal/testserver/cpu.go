//go:build unix

package testserver

import (
	"syscall"
	"testing"
	"time"
)

// CPUTime is the processor time that this process has used so far, on all processors; the servers apart.
func CPUTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
