//go:build unix

package sqlite_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/sqlite"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// TestKilledProcessLosesNothing has four processes publish and work off at once; one of them is killed in the middle.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	db, err := sqlitedb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	setup := open(t, path)
	closeLater(t, setup)
	declareWork(t, setup)
	var children []*child
	for range 4 {
		children = append(children, startChild(t, "peer", path, time.Hour)) // so long that its running out would not help
	}
	seen := newLedger()
	seen.follow(t, children[0], func() bool { return seen.count("done") >= 100 })
	if err := children[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	seen.follow(t, children[0], nil)
	for _, c := range children[1:] {
		seen.follow(t, c, func() bool { return seen.sentBy[c] == perPeer })
	}
	waitEmpty(t, db)
	for _, c := range children[1:] {
		_ = c.stdin.Close()
		seen.follow(t, c, nil)
	}
	seen.check(t, children[0])
}

// waitEmpty waits until no message is left, ready or leased.
func waitEmpty(t *testing.T, db *sqlitedb.DB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var left int
		if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM broker_messages").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		if <-tick.C; time.Now().After(deadline) {
			t.Fatalf("%d messages are left", left)
		}
	}
}

// ledger is what the children have said, by verb and body.
type ledger struct {
	verbs  map[string]map[string][]*child
	sentBy map[*child]int
}

func newLedger() *ledger {
	return &ledger{verbs: map[string]map[string][]*child{"sent": {}, "began": {}, "done": {}}, sentBy: map[*child]int{}}
}

func (l *ledger) count(verb string) int { return len(l.verbs[verb]) }

// follow writes down what the child says until enough, or to the end.
func (l *ledger) follow(t *testing.T, c *child, enough func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for enough == nil || !enough() {
		select {
		case line, ok := <-c.lines:
			if !ok {
				return
			}
			bodies := l.verbs[line[0]]
			if bodies == nil {
				t.Fatalf("child says %q", line)
			}
			bodies[line[1]] = append(bodies[line[1]], c)
			if line[0] == "sent" {
				l.sentBy[c]++
			}
		case <-timeout:
			t.Fatal("child says no more")
		}
	}
}

// check makes sure that all that was sent was done once. The killed child may have been stopped between doing and saying so.
func (l *ledger) check(t *testing.T, killed *child) {
	t.Helper()
	if l.count("sent") < 3*perPeer {
		t.Errorf("%d messages were sent, want at least %d", l.count("sent"), 3*perPeer)
	}
	repeated := 0
	for body := range l.verbs["sent"] {
		began, done := l.verbs["began"][body], l.verbs["done"][body]
		if len(done) > 1 {
			t.Errorf("%s was done %d times", body, len(done))
		}
		if len(done) == 0 && (len(began) == 0 || began[0] != killed) {
			t.Errorf("%s was lost", body)
		}
		if len(began) > 1 {
			repeated++
		}
	}
	if repeated > 20 { // its prefetch
		t.Errorf("%d messages were begun twice, more than the killed process held", repeated)
	}
}

// TestSilentProcessLosesItsLeaseAndGoesOn stops a process for longer than its lease, as a suspended virtual machine is.
func TestSilentProcessLosesItsLeaseAndGoesOn(t *testing.T) {
	t.Parallel()
	const lease = time.Second
	path := filepath.Join(t.TempDir(), "taskq.db")
	b, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	declareWork(t, b)
	holder := startChild(t, "holder", path, lease)
	publish(t, b, "first")
	holder.says(t, "holds", "first")
	if err := holder.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	done := takeOver(t, b, "first")
	if _, err := holder.stdin.Write([]byte("settle\n")); err != nil { // the first thing that it does when it wakes
		t.Fatal(err)
	}
	if err := holder.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	holder.says(t, "stale", "first")
	done()
	publish(t, b, "second")
	holder.says(t, "holds", "second")
	if _, err := holder.stdin.Write([]byte("settle\n")); err != nil {
		t.Fatal(err)
	}
	holder.says(t, "done", "second")
}

// takeOver waits for a message that another process held. The function that it returns acks it, which must be possible still.
func takeOver(t *testing.T, b broker.Broker, body string) (done func()) {
	t.Helper()
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := c.Next(ctx)
	if err != nil {
		t.Fatalf("the message does not come back: %v", err)
	}
	if string(d.Body) != body || !d.Redelivered || d.Count != 1 {
		t.Errorf("body, redelivered, count = %q, %v, %d, want %q, true, 1", d.Body, d.Redelivered, d.Count, body)
	}
	return func() {
		if err := d.Settle(t.Context(), broker.Ack); err != nil {
			t.Errorf("ack after another process tried: %v", err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
