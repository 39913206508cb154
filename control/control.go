// Package control is remote control: commands that workers hear from anybody on their broker, and their answers, as kombu's pidbox
// writes them (kombu/pidbox.py). A worker fills a Mux; what goes over the wire is in internal/wire.
package control

import (
	"context"

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
