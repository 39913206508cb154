// Package ledger is the proof that every task ran: a file that the harness, the senders and the workers map into memory, whatever their
// language, with one record for each task. Its number is the task's argument x, or the number in a visit's path, /N/.
//
// A record is three little-endian 64-bit integers: when the task was sent and when it started first (nanoseconds since 1970), and how
// often it ran.
package ledger

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"
)

// recordSize is the size of a record in bytes.
const recordSize = 24

// Record is what is known of one task. Its fields are shared with other processes.
type Record struct {
	sent, started, runs atomic.Int64
}

// Ledger is a mapped file.
type Ledger struct {
	mapped  []byte
	records []Record
}

// Create makes a ledger of n tasks that have not run.
func Create(path string, n int) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(int64(n) * recordSize); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return mapFile(f)
}

// Open opens the ledger that somebody has created.
func Open(path string) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer f.Close()
	return mapFile(f)
}

func mapFile(f *os.File) (*Ledger, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	size := int(info.Size())
	if size == 0 || size%recordSize != 0 {
		return nil, fmt.Errorf("ledger: %s has %d bytes, not records of %d", f.Name(), size, recordSize)
	}
	mapped, err := mmap(f, size)
	if err != nil {
		return nil, fmt.Errorf("ledger: map %s: %w", f.Name(), err)
	}
	// a mapping begins at a page, so the records are aligned
	records := unsafe.Slice((*Record)(unsafe.Pointer(unsafe.SliceData(mapped))), size/recordSize)
	return &Ledger{mapped: mapped, records: records}, nil
}

// Close unmaps the file.
func (l *Ledger) Close() error {
	l.records = nil
	return munmap(l.mapped)
}

// Len is the number of tasks.
func (l *Ledger) Len() int { return len(l.records) }

// Sent notes that the task is about to be sent.
func (l *Ledger) Sent(i int) { l.records[i].sent.Store(time.Now().UnixNano()) }

// Ran notes that the task runs. Numbers outside of the ledger are an error: the message is not the harness's.
func (l *Ledger) Ran(i int) error {
	if i < 0 || i >= len(l.records) {
		return fmt.Errorf("ledger: no task has the number %d", i)
	}
	r := &l.records[i]
	r.started.CompareAndSwap(0, time.Now().UnixNano())
	r.runs.Add(1)
	return nil
}

// Runs is how often the task ran.
func (l *Ledger) Runs(i int) int { return int(l.records[i].runs.Load()) }

// Again forgets when the task started, and takes it for sent now: what is waited for is its next start.
func (l *Ledger) Again(i int) {
	l.records[i].started.Store(0)
	l.records[i].sent.Store(time.Now().UnixNano())
}

// Watch tells whether all tasks have run. Asked again and again, it looks at each record hardly more than once.
type Watch struct {
	ledger *Ledger
	next   int // all before it have run
}

// Watch returns a watch.
func (l *Ledger) Watch() *Watch { return &Watch{ledger: l} }

// Complete reports whether all tasks have run.
func (w *Watch) Complete() bool {
	for w.next < w.ledger.Len() && w.ledger.Runs(w.next) > 0 {
		w.next++
	}
	return w.next == w.ledger.Len()
}

// Summary is what a ledger says.
type Summary struct {
	Sent, Done, Twice int       // tasks that were sent; that ran; of these, more than once
	First, Last       time.Time // starts
}

// Span is the time from the first start to the last.
func (s Summary) Span() time.Duration { return s.Last.Sub(s.First) }

// Sum reads all records.
func (l *Ledger) Sum() Summary {
	var s Summary
	var first, last int64
	for i := range l.records {
		r := &l.records[i]
		runs, started := r.runs.Load(), r.started.Load()
		if r.sent.Load() > 0 {
			s.Sent++
		}
		if runs == 0 {
			continue
		}
		s.Done++
		if runs > 1 {
			s.Twice++
		}
		if first == 0 || started < first {
			first = started
		}
		last = max(last, started)
	}
	s.First, s.Last = time.Unix(0, first), time.Unix(0, last)
	return s
}

// Between is how many tasks started in a stretch of time.
func (l *Ledger) Between(begin, end time.Time) (n int) {
	from, to := begin.UnixNano(), end.UnixNano()
	for i := range l.records {
		if started := l.records[i].started.Load(); started >= from && started <= to {
			n++
		}
	}
	return n
}

// Waits are the times from sending to starting, in the order of the tasks; those that were not sent or did not run are left out.
func (l *Ledger) Waits() []time.Duration {
	var waits []time.Duration
	for i := range l.records {
		r := &l.records[i]
		if sent, started := r.sent.Load(), r.started.Load(); sent > 0 && started > 0 {
			waits = append(waits, time.Duration(started-sent))
		}
	}
	return waits
}
