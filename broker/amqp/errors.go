package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	if why := tlsTrouble(err); why != "" {
		return fmt.Errorf("amqp: %w: TLS with %s failed: %s: %w", broker.ErrUnavailable, ep.addr, why, err)
	}
	if isTimeout(err) {
		return fmt.Errorf("amqp: %w: no answer from %s in time; check host, port and firewall of %s: %w", broker.ErrUnavailable, ep.addr, ep, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("amqp: %w: %s ended the handshake: %w; is it an AMQP port, and should the broker URL start with amqps:// instead? (%s)",
			broker.ErrUnavailable, ep.addr, bareNetError(err), ep)
	}
	return fmt.Errorf("amqp: %w: cannot connect to %s: %w; start RabbitMQ there or correct the broker URL %s",
		broker.ErrUnavailable, ep.addr, bareNetError(err), ep)
}

// handshakeError is connectError for what the broker, or the client library in its name, replied.
func handshakeError(ep *endpoint, reply *amqp091.Error) error {
	text := strings.ToLower(reply.Reason)
	switch {
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

func tlsTrouble(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		cert      x509.CertificateInvalidError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &record):
		return "the port does not speak TLS; use its TLS port or amqp:// instead of amqps://"
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority; give that with cacertfile="
	case errors.As(err, &host):
		return "its certificate is for another name; correct the host or give server_name_indication="
	case errors.As(err, &cert):
		return "its certificate is not valid"
	case errors.As(err, &alert):
		return "it refused our side; it may want a client certificate (certfile=, keyfile=)"
	}
	return ""
}

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
