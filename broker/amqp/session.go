package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// session is one connection to the broker, from its handshake to its loss. It is never repaired and never reused.
type session struct {
	id          uint64
	endpoint    *endpoint
	conn        *amqp091.Connection
	raw         net.Conn // closing it ends whatever the client library is stuck in
	frames      *frameConn
	callTimeout time.Duration
	crew        *crew
	alarm       alarm
	innocent    time.Time // until when a redelivery says nothing about the worker that had it before: this session replaces a lost one

	closes chan *amqp091.Error   // closed by the client library
	blocks chan amqp091.Blocking // closed by the client library
	done   chan struct{}         // closed by fail
	once   sync.Once
	cause  error // written before done is closed
}

// fail ends the session. Every way to lose one comes here; the first cause stays.
func (s *session) fail(cause error) {
	s.once.Do(func() {
		s.cause = cause
		close(s.done)
		_ = s.raw.Close() // it is being thrown away; there is nobody to tell
	})
}

func (s *session) alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// watch turns what the client library and the socket report into fail. It ends with the session, once the library has let go.
func (s *session) watch() {
	for s.alive() {
		select {
		case reply := <-s.closes:
			s.fail(lossCause(reply))
		case b, ok := <-s.blocks:
			if !ok {
				s.blocks = nil // the library closes it on its way out; closes says why
				continue
			}
			s.alarm.set(b)
		case err := <-s.frames.broken:
			select {
			case reply := <-s.closes: // the broker's own words are better than the socket's
				s.fail(lossCause(reply))
			default:
				s.fail(bareNetError(err))
			}
		case <-s.done:
		}
	}
	letGo := time.NewTimer(goodbye)
	defer letGo.Stop()
	for {
		select {
		case _, ok := <-s.closes:
			if !ok {
				return
			}
		case <-letGo.C:
			return
		}
	}
}

// guard ends the session when the calls made before stop take longer than the call timeout. No call of the client library has a
// time limit of its own.
func (s *session) guard() (stop func() bool) {
	return time.AfterFunc(s.callTimeout, func() { s.fail(errCallTimeout) }).Stop
}

// withChannel lets use work on a channel of its own. When ctx ends first, use finishes without its caller.
func (s *session) withChannel(ctx context.Context, use func(*amqp091.Channel) error) error {
	result := make(chan error, 1)
	started := s.crew.start(func() {
		defer s.guard()()
		ch, err := s.conn.Channel()
		if err != nil {
			result <- s.explain(err)
			return
		}
		defer func() { _ = ch.Close() }() // the broker closed it already when use failed
		result <- s.explain(use(ch))
	})
	if !started {
		return broker.ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	}
}

// explain marks an error of the client library that means the loss of the session with errLost, and sees to it that the session
// has ended then. Channel exceptions stay as they are.
func (s *session) explain(err error) error {
	var reply *amqp091.Error
	if err == nil || errors.As(err, &reply) && reply.Server && reply.Recover {
		return err
	}
	if s.alive() {
		if errors.Is(err, amqp091.ErrChannelMax) {
			return fmt.Errorf("%w: the connection has %d channels open, the broker's channel_max", broker.ErrUnavailable, s.conn.Config.ChannelMax)
		}
		if !s.conn.IsClosed() && !isSocketError(err) {
			return err
		}
		select { // the client library knows before watch does
		case reply := <-s.closes:
			s.fail(lossCause(reply))
		default:
			s.fail(bareNetError(err))
		}
	}
	<-s.done
	return fmt.Errorf("%w: %w", errLost, s.cause)
}

// close says goodbye to the broker and ends the session; it takes no longer than the grace.
func (s *session) close(grace time.Duration) {
	force := time.AfterFunc(grace, func() { _ = s.raw.Close() })
	defer force.Stop()
	if s.alive() {
		_ = s.conn.CloseDeadline(time.Now().Add(grace)) // an error means that it is gone, which is what we want
	}
	s.fail(broker.ErrClosed)
}

// alarm is the state of connection.blocked: the broker is short of memory or disk and takes no messages.
type alarm struct {
	mu     sync.Mutex
	reason string
	over   chan struct{} // closed when the alarm ends; nil without an alarm
	raised chan struct{} // closed when an alarm begins, replaced when it ends; nil while nobody asks
}

func (a *alarm) set(b amqp091.Blocking) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case b.Active && a.over == nil:
		a.reason, a.over = b.Reason, make(chan struct{})
		if a.raised != nil {
			close(a.raised)
		}
	case !b.Active && a.over != nil:
		close(a.over)
		a.reason, a.over, a.raised = "", nil, nil
	}
}

// begins returns a channel that is closed while an alarm holds, or as soon as one is raised.
func (a *alarm) begins() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.raised == nil {
		a.raised = make(chan struct{})
		if a.over != nil {
			close(a.raised)
		}
	}
	return a.raised
}

// err is the error of a publisher who does not wait for the end of the alarm; nil without one.
func (a *alarm) err() error {
	if over, reason := a.active(); over != nil {
		return fmt.Errorf("%w: it blocks publishers because of an alarm (%s)", broker.ErrUnavailable, reason)
	}
	return nil
}

// active returns nil without an alarm, else its reason and a channel that is closed when it ends.
func (a *alarm) active() (over <-chan struct{}, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over == nil {
		return nil, ""
	}
	return a.over, a.reason
}
