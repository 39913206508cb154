package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errInterrupted is the cause of a context that a signal ended, in commands other than worker.
var errInterrupted = errors.New("interrupted")

// interruptible ends the context at the first signal; the second one has its usual effect.
func (s *Session) interruptible(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{}) // closed by stopSignals
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-done:
		}
		signal.Stop(signals)
	}()
	s.stopSignals = func() {
		close(done)
		<-ended
		cancel(nil)
	}
	return ctx
}
