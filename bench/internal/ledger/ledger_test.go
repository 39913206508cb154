package ledger_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
)

func newLedger(t *testing.T, n int) (l *ledger.Ledger, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger")
	l, err := ledger.Create(path, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the file goes with the test
	return l, path
}

func run(t *testing.T, l *ledger.Ledger, tasks ...int) {
	t.Helper()
	for _, i := range tasks {
		if err := l.Ran(i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatAnotherProcessNotesIsSeen(t *testing.T) {
	t.Parallel()
	l, path := newLedger(t, 5)
	other, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	other.Sent(3)
	run(t, other, 3, 4, 4)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	sum := l.Sum()
	if sum.Sent != 1 || sum.Done != 2 || sum.Twice != 1 {
		t.Errorf("sent, done, twice = %d, %d, %d, want 1, 2, 1", sum.Sent, sum.Done, sum.Twice)
	}
	if sum.First.Before(before.Add(-time.Second)) || sum.Last.Before(sum.First) || sum.Span() != sum.Last.Sub(sum.First) {
		t.Errorf("first, last, span = %s, %s, %s", sum.First, sum.Last, sum.Span())
	}
	if waits := l.Waits(); len(waits) != 1 || waits[0] < 0 || waits[0] > time.Minute {
		t.Errorf("waits = %v, want one", waits)
	}
}

func TestATaskThatIsNotInTheLedgerIsAnError(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(t, 5)
	for _, i := range []int{-1, 5} {
		if err := l.Ran(i); err == nil {
			t.Errorf("task %d ran", i)
		}
	}
}

func TestTheLedgerIsCompleteWithItsLastTask(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(t, 4)
	watch := l.Watch()
	for _, i := range []int{3, 0, 2} {
		run(t, l, i)
		if watch.Complete() {
			t.Fatalf("complete after task %d", i)
		}
	}
	run(t, l, 1)
	if !watch.Complete() {
		t.Error("not complete")
	}
}

func TestRunsAtOnceAreAllCounted(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(t, 1)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				_ = l.Ran(0) // it is there
			}
		})
	}
	group.Wait()
	if got := l.Runs(0); got != 800 {
		t.Errorf("runs = %d, want 800", got)
	}
}

func TestTheNextStartCanBeWaitedFor(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(t, 1)
	run(t, l, 0)
	l.Again(0)
	if waits := l.Waits(); len(waits) != 0 {
		t.Errorf("waits = %v before the next start", waits)
	}
	run(t, l, 0)
	if waits := l.Waits(); len(waits) != 1 || waits[0] < 0 {
		t.Errorf("waits = %v, want one", waits)
	}
	if sum := l.Sum(); sum.Twice != 1 {
		t.Errorf("twice = %d, want 1", sum.Twice)
	}
}

func TestStartsAreCountedWithinAStretch(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(t, 3)
	run(t, l, 0)
	begin := l.Sum().First.Add(1)
	for !time.Now().After(begin) { // clocks may be coarse
		continue
	}
	run(t, l, 1, 2)
	if got := l.Between(begin, time.Now().Add(time.Second)); got != 2 {
		t.Errorf("starts = %d, want 2", got)
	}
}
