package amqp_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal keeps what a broker logs.
type journal struct {
	t    testing.TB
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and replaced with each line
}

func newJournal(t testing.TB) *journal { return &journal{t: t, more: make(chan struct{})} }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write implements io.Writer.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = j.t.Output().Write(line) // for who reads the test
	close(j.more)
	j.more = make(chan struct{})
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) count(words string) int { return strings.Count(j.String(), words) }

// await waits until a line that holds all the words was logged n times.
func (j *journal) await(n int, words ...string) {
	j.t.Helper()
	late := time.After(patience)
	for {
		j.mu.Lock()
		text, more := j.text.String(), j.more
		j.mu.Unlock()
		found := 0
		for line := range strings.Lines(text) {
			if containsAll(line, words) {
				found++
			}
		}
		if found >= n {
			return
		}
		select {
		case <-more:
		case <-late:
			j.t.Fatalf("%q was logged %d times, want %d", words, found, n)
		}
	}
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// hides fails the test when what it kept shows the secret.
func (j *journal) hides(secret string) {
	j.t.Helper()
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, secret) {
			j.t.Errorf("the log shows the password: %s", line)
		}
	}
}

// eventually waits until what is true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for late := time.After(patience); !is(); {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}
