package redisdial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/rueidis"
)

// Kinds are the errors that tell a caller what to do about one of Redis.
type Kinds struct {
	Unavailable error  // the server is away
	Access      error  // somebody must correct something first
	Full        string // what to do when the server's memory is full, besides raising maxmemory
}

// Explain says what the error of a command means and what to do. It never holds a password.
func (ep *Endpoint) Explain(ctx context.Context, kinds Kinds, err error) error {
	reply, ok := rueidis.IsRedisErr(err)
	switch {
	case err == nil:
		return nil
	case ok:
		return ep.explainReply(kinds, reply)
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return fmt.Errorf("%w: no answer from %s: %w", kinds.Unavailable, ep.address, ctx.Err())
	}
	if why := tlsParameters().Trouble(err); why != "" {
		return fmt.Errorf("%w: TLS with %s failed: %s: %w", kinds.Unavailable, ep.address, why, err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("%w: cannot connect to %s: %w; start Redis there or correct the URL", kinds.Unavailable, ep.address, op.Err)
	}
	if ep.tls != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("%w: connection to %s: %w; if it ends at once, %s",
			kinds.Unavailable, ep.address, err, tlsParameters().Wanted()) // the alert that says so may be lost with the connection
	}
	return fmt.Errorf("%w: connection to %s: %w", kinds.Unavailable, ep.address, err)
}

// explainReply is Explain for what the server answered; the client library has cut "ERR " off.
func (ep *Endpoint) explainReply(kinds Kinds, reply *rueidis.RedisError) error {
	text := reply.Error()
	code, _, _ := strings.Cut(text, " ")
	switch {
	case code == "WRONGPASS", code == "NOAUTH", strings.HasPrefix(text, "invalid password"), strings.HasPrefix(text, "AUTH "):
		return fmt.Errorf("%w: %s at %s; correct user and password in the URL", kinds.Access, strings.TrimSuffix(text, "."), ep.address)
	case code == "NOPERM":
		return fmt.Errorf("%w: %s at %s; permit it for the user (ACL SETUSER)", kinds.Access, text, ep.address)
	case strings.HasPrefix(text, "DB index"), strings.HasPrefix(text, "invalid DB index"):
		return fmt.Errorf("%w: %s: %s has no database %d; correct the number in the URL", kinds.Access, text, ep.address, ep.database)
	case code == "LOADING", code == "BUSY", code == "MASTERDOWN", code == "READONLY", code == "CLUSTERDOWN",
		strings.HasPrefix(text, "max number of clients"):
		return fmt.Errorf("%w: %s at %s", kinds.Unavailable, text, ep.address)
	case code == "OOM":
		return fmt.Errorf("the memory of %s is full (%s); raise maxmemory, or %s", ep.address, text, kinds.Full)
	}
	return fmt.Errorf("%s: %s", ep.address, text)
}
