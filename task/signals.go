package task

import (
	"fmt"
	"strings"
)

const (
	sigTerm    = 15
	lastSignal = 64
)

// signals are the names by number, those of Linux, where Celery's workers run.
func signals() map[string]int {
	names := "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ " +
		"VTALRM PROF WINCH IO PWR SYS"
	numbers := map[string]int{"CLD": 17, "IOT": 6, "POLL": 29, "RTMIN": 34, "RTMAX": lastSignal}
	for i, name := range strings.Fields(names) {
		numbers[name] = i + 1
	}
	return numbers
}

// SignalNumber is the number of Signal on Linux, 15 when there is none. As in Celery the name is in capitals, and its SIG may be left
// out.
func (r Revocation) SignalNumber() (int, error) {
	if r.Signal == "" {
		return sigTerm, nil
	}
	n, ok := signals()[strings.TrimPrefix(r.Signal, "SIG")]
	if !ok {
		return 0, fmt.Errorf("task: unknown signal %q: use a name such as SIGTERM, SIGKILL or SIGUSR1", clip(r.Signal))
	}
	return n, nil
}

// clip shortens a text of somebody else's for an error.
func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
