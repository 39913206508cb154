package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// errLaneEnded says that the outcome of a publish is unknown because its channel is gone.
var errLaneEnded = errors.New("the channel ended before the confirm")

// lanes are the confirming channels of the publishing session: one for the default exchange and one for named exchanges, so that
// a missing exchange, which closes its channel, does not disturb the messages to queues.
type lanes struct {
	mu      sync.Mutex
	current [2]*lane
}

// of returns the live lane for messages to the exchange, opening one when needed.
func (l *lanes) of(b *Broker, s *session, exchange string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	if exchange != "" {
		at = 1
	}
	if have := l.current[at]; have != nil && have.s == s && !have.hasEnded() {
		return have
	}
	next := newLane(s, b.cfg, &b.counts)
	l.current[at] = next
	if !b.crew.start(next.run) {
		next.end(broker.ErrClosed)
	}
	return next
}

// lane is one channel in confirm mode. Its goroutine is the only one that publishes on it; callers wait for their confirms
// themselves.
type lane struct {
	s       *session
	ch      *amqp091.Channel // written before the first job is taken
	counts  *counts
	timeout time.Duration // of a confirm
	jobs    chan *job     // unbuffered: a job that was not taken was not written
	returns chan amqp091.Return
	ended   chan struct{} // closed by end
	cause   error         // written before ended is closed

	mu     sync.Mutex
	flight map[uint64]*job // by delivery tag
}

// job is one message on its way.
type job struct {
	*publishing
	tag       uint64
	returned  string       // why the broker returned it; guarded by lane.mu
	abandoned atomic.Bool  // its caller is gone
	written   chan confirm // buffered; closed when it will not be written
}

type confirm = *amqp091.DeferredConfirmation

func newLane(s *session, cfg Config, counts *counts) *lane {
	window := cfg.ConfirmWindow
	return &lane{
		s:       s,
		counts:  counts,
		timeout: cfg.ConfirmTimeout,
		jobs:    make(chan *job),
		returns: make(chan amqp091.Return, window), // each message in the window is returned once at most, so the reader never waits
		ended:   make(chan struct{}),
		flight:  make(map[uint64]*job, window),
	}
}

func (l *lane) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (l *lane) end(cause error) {
	l.cause = cause
	close(l.ended)
}

// run owns the channel until it or the session ends.
func (l *lane) run() {
	closes, err := l.open()
	if err != nil {
		l.end(err)
		return
	}
	for {
		select {
		case j := <-l.jobs:
			if l.write(j) == nil {
				continue
			}
			select { // a write fails only with the channel or the connection, which say why
			case reply := <-closes:
				l.end(replyOrLost(reply))
			case <-l.s.done:
				l.end(l.s.cause)
			}
			return
		case reply := <-closes:
			l.end(replyOrLost(reply))
			return
		case <-l.s.done:
			l.end(l.s.cause)
			return
		}
	}
}

// open opens the channel in confirm mode.
func (l *lane) open() (closes chan *amqp091.Error, err error) {
	defer l.s.guard()()
	if l.ch, err = l.s.conn.Channel(); err != nil {
		return nil, l.s.explain(err)
	}
	closes = l.ch.NotifyClose(make(chan *amqp091.Error, 1))
	l.ch.NotifyReturn(l.returns)
	if err := l.ch.Confirm(false); err != nil {
		return nil, l.s.explain(err)
	}
	return closes, nil
}

// write puts the job on the wire, after the alarm if there is one, unless its caller has gone.
func (l *lane) write(j *job) error {
	if over, _ := l.s.alarm.active(); over != nil {
		select {
		case <-over:
		case <-l.s.done:
			return errLost
		}
	}
	if j.abandoned.Load() {
		close(j.written)
		return nil
	}
	j.tag = l.ch.GetNextPublishSeqNo()
	l.mu.Lock()
	l.flight[j.tag] = j
	l.mu.Unlock()
	dc, err := l.ch.PublishWithDeferredConfirm(j.to.Exchange, j.to.RoutingKey, !j.to.Optional, false, j.wire)
	if err != nil {
		return err
	}
	j.written <- dc
	return nil
}

// submit hands p to the channel, which writes it. errLaneEnded means that it was not written.
func (l *lane) submit(ctx context.Context, p *publishing) (*job, error) {
	j := &job{publishing: p, written: make(chan confirm, 1)}
	select {
	case l.jobs <- j:
		return j, nil
	case <-l.ended:
		return nil, errLaneEnded
	case <-ctx.Done():
		return nil, unsent(ctx, l.s)
	}
}

// await waits for the confirm of a job. errLaneEnded means that the outcome is unknown. When it is not waited for any longer, token
// is lent until the confirm comes.
func (l *lane) await(ctx context.Context, j *job, token *token) error {
	var dc confirm
	select {
	case dc = <-j.written:
	case <-l.ended:
		select {
		case dc = <-j.written: // it may have been confirmed before the end
		default:
			return errLaneEnded
		}
	case <-ctx.Done():
		j.abandoned.Store(true)
		l.outlive(j, nil, token)
		return unconfirmed(l.s, ctx.Err())
	}
	var alarm <-chan struct{}
	if j.to.FailFast {
		alarm = l.s.alarm.begins()
	}
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	for {
		select {
		case <-dc.Done():
			return l.outcome(j, dc)
		case <-l.ended:
			return l.outcome(j, dc)
		case <-ctx.Done():
			l.outlive(j, dc, token)
			return unconfirmed(l.s, ctx.Err())
		case <-alarm:
			l.outlive(j, dc, token)
			return unconfirmed(l.s, errNoWait)
		case <-timer.C:
			if l.s.alarm.err() != nil {
				timer.Reset(l.timeout) // it confirms when the alarm is over
				continue
			}
			l.outlive(j, dc, token)
			return unconfirmed(l.s, fmt.Errorf("no confirm within %v", l.timeout))
		}
	}
}

// outcome is the result of a confirm that has come, or was given up by the client library because the channel is gone.
func (l *lane) outcome(j *job, dc confirm) error {
	l.mu.Lock()
	l.collectReturns()
	delete(l.flight, j.tag)
	returned := j.returned
	l.mu.Unlock()
	switch {
	case returned != "":
		l.counts.returned.Add(1)
		return fmt.Errorf("%w: %s", broker.ErrUnroutable, returned)
	case dc.Acked():
		return nil
	}
	// A negative confirm and a lost channel look alike, but the client library marks the channel first.
	if l.hasEnded() || l.ch.IsClosed() {
		<-l.ended
		return errLaneEnded
	}
	return broker.ErrRefused
}

// outlive keeps the token of a job whose caller has gone until the broker has answered.
func (l *lane) outlive(j *job, dc confirm, token *token) {
	token.lent = l.s.crew.start(func() {
		defer func() { <-token.window }()
		if dc == nil {
			select {
			case dc = <-j.written:
			case <-l.ended:
			}
		}
		if dc == nil {
			return // never written
		}
		select {
		case <-dc.Done():
			_ = l.outcome(j, dc) // tidies up; there is nobody to tell
		case <-l.ended:
		}
	})
}

// collectReturns gives the messages that came back to their jobs. The client library delivers a return before its confirm. The
// caller holds mu.
func (l *lane) collectReturns() {
	for {
		select {
		case r, ok := <-l.returns:
			if !ok {
				return // the channel is gone
			}
			if j := l.match(r); j != nil {
				j.returned = "the broker returned it: " + r.ReplyText
			}
		default:
			return
		}
	}
}

// match finds the job of a returned message by everything that the message consists of: those in flight that look alike are the
// same message, and it does not matter which of them came back. Headers count only to choose between several, since not every
// value equals itself (NaN). The caller holds mu.
func (l *lane) match(r amqp091.Return) *job {
	var found *job
	foundHeaders := false
	for _, j := range l.flight {
		if j.returned != "" || !j.looksLike(r) {
			continue
		}
		headers := sameHeaders(j.wire.Headers, r.Headers)
		if found == nil || headers && !foundHeaders || headers == foundHeaders && j.tag < found.tag {
			found, foundHeaders = j, headers
		}
	}
	return found
}

func (j *job) looksLike(r amqp091.Return) bool {
	w := &j.wire
	return j.to.Exchange == r.Exchange && j.to.RoutingKey == r.RoutingKey &&
		w.MessageId == r.MessageId && w.CorrelationId == r.CorrelationId && w.ReplyTo == r.ReplyTo &&
		w.Type == r.Type && w.AppId == r.AppId && w.ContentType == r.ContentType && w.ContentEncoding == r.ContentEncoding &&
		w.Priority == r.Priority && w.DeliveryMode == r.DeliveryMode && w.Expiration == r.Expiration &&
		bytes.Equal(w.Body, r.Body)
}

func sameHeaders(sent, returned amqp091.Table) bool {
	return len(sent) == 0 && len(returned) == 0 || reflect.DeepEqual(decodeTable(sent), decodeTable(returned))
}
