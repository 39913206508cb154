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
		warm    int
		exits   []int
	}{
		{"first one stops the start", []os.Signal{syscall.SIGTERM}, 1, nil},
		{"second one ends the process", []os.Signal{os.Interrupt, os.Interrupt}, 1, []int{Interrupted}},
		{"quit ends the process", []os.Signal{syscall.SIGQUIT}, 1, []int{Failure}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			warm, exits := 0, []int(nil)
			s := &shutdown{
				out: &strings.Builder{}, err: &strings.Builder{},
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
