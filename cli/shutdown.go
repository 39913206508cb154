package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/seed-399731e2/taskq/worker"
)

// shutdown turns signals into the end of a worker: the first one is a warm shutdown, the second or SIGQUIT a cold one, the third ends
// the process. Nothing on the way from a signal to its effect can block, not even an output that nobody reads.
type shutdown struct {
	out, err  io.Writer
	warm      context.CancelFunc // ends the worker's context
	exit      func(code int)
	remapTerm bool // SIGTERM means SIGQUIT, as with Celery's REMAP_SIGTERM

	mu     sync.Mutex     // guards what follows
	worker *worker.Worker // nil until it is about to run
	asked  int            // signals so far
	cold   bool
}

// listen handles signals until the channel is closed. What is to be said is written on another goroutine.
func (s *shutdown) listen(signals <-chan os.Signal) {
	said := make(chan func(), 8) // more than there are steps
	written := make(chan struct{})
	go func() {
		defer close(written)
		for say := range said {
			say()
		}
	}()
	for sig := range signals {
		say := s.dump
		if !isDump(sig) {
			text := s.handle(sig)
			say = func() { fmt.Fprint(s.out, text) }
		}
		select {
		case said <- say:
		default: // nobody reads what was said before
		}
	}
	close(said)
	select {
	case <-written:
	case <-time.After(time.Second): // an output that nobody reads must not hold up the end of the process
	}
}

// handle takes one step and returns what to say about it.
func (s *shutdown) handle(sig os.Signal) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	quit := isQuit(sig) || s.remapTerm && sig == syscall.SIGTERM
	s.asked++
	if quit && s.asked == 1 {
		s.asked++ // cold at once
		s.warm()
	}
	hint := func(text string) string {
		if sig == os.Interrupt {
			return "\nworker: Hitting Ctrl+C again will " + text + "\n"
		}
		return ""
	}
	switch {
	case s.asked == 1:
		s.warm()
		return hint("initiate cold shutdown, terminating all running tasks!") + "\nworker: Warm shutdown (MainProcess)\n"
	case s.worker == nil && quit:
		s.exit(Failure)
	case s.worker == nil:
		s.exit(Interrupted)
	case s.asked == 2:
		s.cold = true
		s.worker.Terminate()
		return hint("terminate all running tasks!") + "\nworker: Cold shutdown (MainProcess)\n"
	default:
		s.exit(Failure)
	}
	return ""
}

// starts tells which worker the signals are for.
func (s *shutdown) starts(w *worker.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker = w
}

// wasCold reports whether a cold shutdown was asked for.
func (s *shutdown) wasCold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cold
}

// dump writes the state of the worker and the stacks of all goroutines to stderr.
func (s *shutdown) dump() {
	s.mu.Lock()
	w := s.worker
	s.mu.Unlock()
	if w != nil {
		if state, err := json.Marshal(w.Stats()); err == nil {
			fmt.Fprintf(s.err, "worker state: %s\n", state)
		}
	}
	stacks := make([]byte, 64<<10)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) || len(stacks) >= 64<<20 {
			_, _ = s.err.Write(append(stacks[:n:n], '\n')) // there is nobody to tell
			return
		}
		stacks = make([]byte, 2*len(stacks))
	}
}
