package proc

import (
	"os"
	"testing"
	"time"
)

func TestTheClockOfAProcessIsFinerThanATick(t *testing.T) {
	t.Parallel()
	last, ok := clock(os.Getpid())
	for deadline := time.Now().Add(10 * time.Second); ok && time.Now().Before(deadline); { // which burns some
		var now time.Duration
		now, ok = clock(os.Getpid())
		if step := now - last; step > 0 && step < tick {
			return
		}
		last = now
	}
	t.Errorf("no step of the clock was shorter than a tick of %v (can it be read: %v)", tick, ok)
}

func TestNobodyHasAClockWhoIsNot(t *testing.T) {
	t.Parallel()
	const none = 1 << 22 // the largest number that a process may have is one less
	if used, ok := clock(none); ok {
		t.Errorf("a process that is not there has used %v", used)
	}
}

func TestASnapshotIsAsExactAsTheClock(t *testing.T) {
	t.Parallel()
	s, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	if used := s.processes[os.Getpid()].cpu; used%tick == 0 {
		t.Errorf("this process has used %v: whole ticks", used)
	}
}
