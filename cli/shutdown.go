package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/seed-399731e2/taskq/worker"
)

// shutdown turns signals into the end of a worker: the first one is a warm shutdown, the second or SIGQUIT a cold one, the third ends
// the process.
type shutdown struct {
	out, err io.Writer
	warm     context.CancelFunc // ends the worker's context
	exit     func(code int)

	mu     sync.Mutex     // guards what follows
	worker *worker.Worker // nil until it is about to run
	asked  int            // signals so far
	cold   bool
}

// listen handles signals until the channel is closed.
func (s *shutdown) listen(signals <-chan os.Signal) {
	for sig := range signals {
		if isDump(sig) {
			s.dump()
			continue
		}
		s.handle(sig)
	}
}

func (s *shutdown) handle(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if isQuit(sig) && s.asked == 1 {
		s.asked++ // cold at once
		s.warm()
	}
	switch {
	case s.asked == 1:
		if sig == os.Interrupt {
			fmt.Fprint(s.out, "\nworker: Hitting Ctrl+C again will initiate cold shutdown, terminating all running tasks!\n")
		}
		fmt.Fprint(s.out, "\nworker: Warm shutdown (MainProcess)\n")
		s.warm()
	case s.worker == nil && isQuit(sig):
		s.exit(Failure)
	case s.worker == nil:
		s.exit(Interrupted)
	case s.asked == 2:
		s.cold = true
		if sig == os.Interrupt {
			fmt.Fprint(s.out, "\nworker: Hitting Ctrl+C again will terminate all running tasks!\n")
		}
		fmt.Fprint(s.out, "\nworker: Cold shutdown (MainProcess)\n")
		s.worker.Terminate()
	default:
		s.exit(Failure)
	}
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
