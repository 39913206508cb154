package cli

import (
	"os"
	"syscall"
)

// workerSignals are those that a worker listens to. Windows has no SIGQUIT and no SIGUSR1.
func workerSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func isQuit(os.Signal) bool { return false }

func isDump(os.Signal) bool { return false }
