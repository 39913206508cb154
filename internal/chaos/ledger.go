package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Outcome is what the sender of a task was told.
type Outcome string

// The outcomes of a send.
const (
	Accepted Outcome = "accepted" // confirmed by the broker: it must be done
	Unknown  Outcome = "unknown"  // it may have been taken
	Rejected Outcome = "rejected" // it was not taken
)

// Sent is one attempt to send a task.
type Sent struct {
	ID         string
	Kind       Kind
	Outcome    Outcome
	Begin, End time.Time // of the call
}

// Event is a step of a task in a worker.
type Event string

// The events. A start without another event after it was cut off.
const (
	Started  Event = "start"
	Done     Event = "done"     // the handler has returned without an error
	Failed   Event = "fail"     // it has returned an error
	Retrying Event = "retrying" // it has asked to be run again
)

// Ran is one step of one execution of a task.
type Ran struct {
	ID      string
	Retries int // which attempt, by the message
	Event   Event
	PID     int
	At      time.Time
}

// Ledger is a file that a process appends to, one line and one write at a time, so that what was written outlives it.
type Ledger struct{ file *os.File }

// OpenLedger opens a ledger for appending.
func OpenLedger(path string) (*Ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("chaos: open ledger: %w", err)
	}
	return &Ledger{file}, nil
}

// Sent appends the attempt to send a task.
func (l *Ledger) Sent(s Sent) error {
	return l.append(s.ID, string(s.Kind), string(s.Outcome), stamp(s.Begin), stamp(s.End))
}

// Ran appends a step of an execution.
func (l *Ledger) Ran(r Ran) error {
	return l.append(r.ID, strconv.Itoa(r.Retries), string(r.Event), strconv.Itoa(r.PID), stamp(r.At))
}

func (l *Ledger) append(fields ...string) error {
	if _, err := l.file.WriteString(strings.Join(fields, " ") + "\n"); err != nil {
		return fmt.Errorf("chaos: append to ledger: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.file.Close() }

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// ReadSent reads the ledger of a load; none is no lines.
func ReadSent(path string) ([]Sent, error) {
	var all []Sent
	err := readLines(path, func(f []string) error {
		begin, errBegin := parseStamp(f[3])
		end, errEnd := parseStamp(f[4])
		all = append(all, Sent{f[0], Kind(f[1]), Outcome(f[2]), begin, end})
		return errors.Join(errBegin, errEnd)
	})
	return all, err
}

// ReadRan reads the ledgers of all workers in a directory.
func ReadRan(dir string) ([]Ran, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "ran-*"))
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	var all []Ran
	for _, path := range paths {
		err := readLines(path, func(f []string) error {
			retries, errRetries := strconv.Atoi(f[1])
			pid, errPID := strconv.Atoi(f[3])
			at, errAt := parseStamp(f[4])
			all = append(all, Ran{f[0], retries, Event(f[2]), pid, at})
			return errors.Join(errRetries, errPID, errAt)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readLines reads lines of five words. The last one may still be being written.
func readLines(path string, each func(fields []string) error) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("chaos: read ledger: %w", err)
	}
	complete := string(text[:strings.LastIndexByte(string(text), '\n')+1])
	lines := bufio.NewScanner(strings.NewReader(complete))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		if len(fields) != 5 {
			return fmt.Errorf("chaos: ledger %s: not a line of five words: %q", filepath.Base(path), lines.Text())
		}
		if err := each(fields); err != nil {
			return fmt.Errorf("chaos: ledger %s: %w", filepath.Base(path), err)
		}
	}
	return lines.Err()
}

func parseStamp(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(0, n), err
}
