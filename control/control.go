// Package control is remote control: commands that workers hear from anybody on their broker, and their answers, as kombu's pidbox
// writes them (kombu/pidbox.py). A worker fills a Mux, a program asks with a Client; what goes over the wire is in internal/wire.
package control

import (
	"context"
	"fmt"
	"maps"

	"github.com/seed-399731e2/taskq/codec"
)

// Call is one command as a worker got it.
type Call struct {
	Method    string
	Arguments map[string]codec.Raw // by keyword, in JSON
}

// HandlerFunc obeys a command. What it returns is sent to whoever waits for an answer, an error as {"error": …}.
type HandlerFunc func(ctx context.Context, call *Call) (any, error)

// Mux are the commands by name. An alias is an entry of its own.
type Mux map[string]HandlerFunc

// Merge returns the commands of all of them.
func Merge(sets ...Mux) Mux {
	all := Mux{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// Serve obeys a command and returns the answer. A command that is unknown, fails or panics is answered by {"error": …}, too; err says
// why, for the log.
func (m Mux) Serve(ctx context.Context, call *Call) (answer any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("control: %s: panic: %v", call.Method, v)
			answer = map[string]string{"error": fmt.Sprint(v)}
		}
	}()
	handle, ok := m[call.Method]
	if !ok {
		err = &UnknownError{call.Method}
	} else {
		answer, err = handle(ctx, call)
	}
	if err != nil {
		answer = map[string]string{"error": err.Error()}
	}
	return answer, err
}

// OK is the answer of a command that was obeyed, as Celery's monitors expect it.
func OK(text string) any { return map[string]string{"ok": text} }
