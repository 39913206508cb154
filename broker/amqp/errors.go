package amqp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// Reply codes of AMQP 0-9-1 that are told apart here.
const (
	codeAccessRefused = 403
	codeNotFound      = 404
	codeLocked        = 405
	codePrecondition  = 406
	codeNotAllowed    = 530
)

var (
	errLost            = errors.New("the connection was lost")
	errTLSFiles        = errors.New("the certificate files of the broker URL cannot be used")
	errSpeaksTLS       = errors.New("the port answered in TLS")
	errCallTimeout     = errors.New("the broker did not answer in time")
	errConsumerEnded   = errors.New("the broker ended the consumer: its queue was deleted or moved")
	errNoWait          = errors.New("it was not to be waited for")
	errTooManyFailures = errors.New("the broker closed channel or connection again and again")
)

// connectError says in one sentence why ep could not be connected to, and what to do. It never holds the password.
func connectError(ep *endpoint, err error) error {
	if reply, ok := errors.AsType[*amqp091.Error](err); ok {
		return handshakeError(ep, reply)
	}
	if errors.Is(err, errTLSFiles) {
		return fmt.Errorf("amqp: %w: %w", broker.ErrUnavailable, err)
	}
	if errors.Is(err, errSpeaksTLS) {
		return fmt.Errorf("amqp: %w: %s speaks TLS; start the broker URL with amqps:// or use its port without TLS (%s)",
			broker.ErrUnavailable, ep.addr, ep)
	}
	if why := tlsParameters().Trouble(err); why != "" {
		return fmt.Errorf("amqp: %w: TLS with %s failed: %s: %w", broker.ErrUnavailable, ep.addr, why, err)
	}
	if isTimeout(err) {
		return fmt.Errorf("amqp: %w: no answer from %s in time; check host, port and firewall of %s: %w", broker.ErrUnavailable, ep.addr, ep, err)
	}
	if ended(err) && ep.tls != nil { // the alert that says why may have been lost with the connection
		return fmt.Errorf("amqp: %w: %s ended the handshake: %w; %s (%s)",
			broker.ErrUnavailable, ep.addr, bareNetError(err), tlsParameters().Wanted(), ep)
	}
	if ended(err) {
		return fmt.Errorf("amqp: %w: %s ended the handshake: %w; is it an AMQP port, and should the broker URL start with amqps:// instead? (%s)",
			broker.ErrUnavailable, ep.addr, bareNetError(err), ep)
	}
	return fmt.Errorf("amqp: %w: cannot connect to %s: %w; start RabbitMQ there or correct the broker URL %s",
		broker.ErrUnavailable, ep.addr, bareNetError(err), ep)
}

// ended reports whether the other side closed the connection without a word.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// handshakeError is connectError for what the broker, or the client library in its name, replied.
func handshakeError(ep *endpoint, reply *amqp091.Error) error {
	text := strings.ToLower(reply.Reason)
	switch {
	case errors.Is(reply, amqp091.ErrSASL):
		return fmt.Errorf("amqp: %w: %s offers none of the login mechanisms asked for (%s): change auth_mechanism in the broker URL, or enable it there",
			broker.ErrAccess, ep.addr, strings.Join(ep.mechanisms, ", "))
	case reply.Code == codeAccessRefused && strings.Contains(text, "external"):
		return fmt.Errorf("amqp: %w: ACCESS_REFUSED for the client certificate at %s: give one with certfile= and keyfile=, and create a user of its name there (ssl_cert_login_from)",
			broker.ErrAccess, ep.addr)
	case reply.Code == codeAccessRefused && !strings.Contains(text, "vhost"):
		return fmt.Errorf("amqp: %w: ACCESS_REFUSED for user '%s' at %s: correct user and password in the broker URL %s",
			broker.ErrAccess, ep.user, ep.addr, ep)
	case (reply.Code == codeNotAllowed || reply.Code == codeAccessRefused) && strings.Contains(text, "limit"):
		return fmt.Errorf("amqp: %w: %s refused the connection: %s", broker.ErrUnavailable, ep.addr, reply.Reason)
	case reply.Code == codeNotAllowed || reply.Code == codeAccessRefused:
		return fmt.Errorf("amqp: %w: vhost '%s' at %s does not exist or is closed to user '%s' (%s): create it, permit it, or correct the broker URL %s",
			broker.ErrAccess, ep.vhost, ep.addr, ep.user, reply.Reason, ep)
	}
	return fmt.Errorf("amqp: %w: %s refused the connection: %s", broker.ErrUnavailable, ep.addr, reply.Reason)
}

// several are the errors of several brokers, on one line.
type several []error

// Error implements error.
func (s several) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = strings.TrimPrefix(err.Error(), "amqp: ")
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As look at each.
func (s several) Unwrap() []error { return s }

// bareNetError drops the address from a network error: the sentence around it has it.
func bareNetError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if sys, ok := errors.AsType[*os.SyscallError](op.Err); ok {
			return sys.Err
		}
		return op.Err
	}
	return err
}

// isSocketError reports whether err came from the connection itself: a write fails before the client library has noticed its end.
func isSocketError(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok || ended(err)
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &netErr) && netErr.Timeout()
}

// isReply reports whether err is the broker's reply with the code.
func isReply(err error, code int) bool {
	var reply *amqp091.Error
	return errors.As(err, &reply) && reply.Server && reply.Code == code
}

// isHardReply reports whether the broker closed the connection because it did not like what we sent, or failed on it.
func isHardReply(err error) bool {
	var reply *amqp091.Error
	return errors.As(err, &reply) && reply.Server && !reply.Recover && reply.Code >= 500
}

// replyText is the broker's words, without the code that the client library adds.
func replyText(err error) string {
	if reply, ok := errors.AsType[*amqp091.Error](err); ok {
		return reply.Reason
	}
	return err.Error()
}

// lossCause turns what the client library says about the end of a connection into an error worth logging.
func lossCause(reply *amqp091.Error) error {
	switch {
	case reply == nil:
		return io.EOF
	case reply.Server:
		return reply
	}
	return errors.New(reply.Reason)
}

// replyOrLost is what closed a channel.
func replyOrLost(reply *amqp091.Error) error {
	if reply == nil {
		return errLost
	}
	return reply
}
