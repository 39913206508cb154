//go:build !windows

package cli

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestSignalsBeforeTheWorkerRuns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		signals []os.Signal
		remap   bool
		warm    int
		exits   []int
	}{
		{"first one stops the start", []os.Signal{syscall.SIGTERM}, false, 1, nil},
		{"second one ends the process", []os.Signal{os.Interrupt, os.Interrupt}, false, 1, []int{Interrupted}},
		{"quit ends the process", []os.Signal{syscall.SIGQUIT}, false, 1, []int{Failure}},
		{"so does a term that means quit", []os.Signal{syscall.SIGTERM}, true, 1, []int{Failure}},
		{"an interrupt does not", []os.Signal{os.Interrupt}, true, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			warm, exits := 0, []int(nil)
			s := &shutdown{
				out: &strings.Builder{}, err: &strings.Builder{}, remapTerm: tt.remap,
				warm: func() { warm++ }, exit: func(code int) { exits = append(exits, code) },
			}
			for _, sig := range tt.signals {
				s.handle(sig)
			}
			if warm != tt.warm || !slices.Equal(exits, tt.exits) {
				t.Errorf("warm shutdowns = %d, exits = %v, want %d and %v", warm, exits, tt.warm, tt.exits)
			}
		})
	}
}

// deaf is an output that nobody reads.
type deaf struct{ read chan struct{} }

func (d deaf) Write(data []byte) (int, error) {
	<-d.read
	return len(data), nil
}

func TestSignalsWorkWhenNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	out := deaf{make(chan struct{})}
	defer close(out.read)
	warm, exited := make(chan struct{}), make(chan int, 1)
	s := &shutdown{out: out, err: out, warm: func() { close(warm) }, exit: func(code int) { exited <- code }}
	signals := make(chan os.Signal, 3)
	ended := make(chan struct{})
	go func() { s.listen(signals); close(ended) }()
	signals <- syscall.SIGTERM
	<-warm
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGTERM
	if code := <-exited; code != Interrupted {
		t.Errorf("exit status = %d, want %d", code, Interrupted)
	}
	close(signals)
	<-ended
}
