//go:build !windows

package cli

import (
	"os"
	"syscall"
)

// workerSignals are those that a worker listens to.
func workerSignals() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1}
}

func isQuit(sig os.Signal) bool { return sig == syscall.SIGQUIT }

func isDump(sig os.Signal) bool { return sig == syscall.SIGUSR1 }
