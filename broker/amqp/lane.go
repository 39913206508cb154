package amqp

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	jobs    chan []*job   // unbuffered: jobs that were not taken were not written
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
	returned  string        // why the broker returned it; guarded by lane.mu
	abandoned atomic.Bool   // its caller is gone
	taken     chan struct{} // closed when the jobs that were submitted together were written; not when the lane ended meanwhile
	begun     bool          // some of it may have been written; written before taken is closed or the lane has ended
	confirm   confirm       // likewise; nil when it was not written
}

type confirm = *amqp091.DeferredConfirmation

func newLane(s *session, cfg Config, counts *counts) *lane {
	window := cfg.ConfirmWindow
	return &lane{
		s:       s,
		counts:  counts,
		timeout: cfg.ConfirmTimeout,
		jobs:    make(chan []*job),
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
		case jobs := <-l.jobs:
			if l.writeReady(jobs) == nil {
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

// writeReady puts the jobs on the wire, and those that are submitted meanwhile.
func (l *lane) writeReady(jobs []*job) error {
	for {
		for _, j := range jobs {
			if err := l.write(j); err != nil {
				_ = l.s.frames.flush() // the connection may live on without this channel, and others gather there, too
				return err
			}
		}
		close(jobs[0].taken)
		runtime.Gosched() // confirms come for many at a time: who has got one is about to submit the next message
		select {
		case jobs = <-l.jobs:
		default:
			return l.s.frames.flush()
		}
	}
}

// write puts the job on the wire, after the alarm if there is one, unless its caller has gone. It may be gathered there until flush.
func (l *lane) write(j *job) error {
	if over, _ := l.s.alarm.active(); over != nil {
		if err := l.s.frames.flush(); err != nil {
			return err
		}
		select {
		case <-over:
		case <-l.s.done:
			return errLost
		}
	}
	if j.abandoned.Load() {
		return nil
	}
	j.begun = true
	j.tag = l.ch.GetNextPublishSeqNo()
	l.mu.Lock()
	l.flight[j.tag] = j
	l.mu.Unlock()
	content := load{header: j.content, body: j.msg.Body, frameMax: l.s.conn.Config.FrameSize}
	dc, err := l.s.frames.outlet.publish(content, func() (confirm, error) {
		return l.ch.PublishWithDeferredConfirm(j.to.Exchange, j.to.RoutingKey, !j.to.Optional, false, amqp091.Publishing{})
	})
	j.confirm = dc
	return err
}

// submit hands the messages to the channel, which writes them. errLaneEnded means that none was written.
func (l *lane) submit(ctx context.Context, messages []*publishing) ([]*job, error) {
	taken := make(chan struct{})
	jobs := make([]*job, len(messages))
	for i, p := range messages {
		jobs[i] = &job{publishing: p, taken: taken}
	}
	select {
	case l.jobs <- jobs:
		return jobs, nil
	case <-l.ended:
		return nil, errLaneEnded
	case <-ctx.Done():
		return nil, unsent(ctx, l.s)
	}
}

// await waits for the confirm of a job. errLaneEnded means that the outcome is unknown, or, when the job was not begun, that it was not
// written. When it is not waited for any longer, token is lent until the confirm comes.
func (l *lane) await(ctx context.Context, j *job, token *token) error {
	var alarm <-chan struct{}
	if j.to.FailFast {
		alarm = l.s.alarm.begins()
	}
	select {
	case <-j.taken:
	case <-l.ended:
	case <-ctx.Done():
		return l.leave(j, token, ctx.Err())
	case <-alarm:
		return l.leave(j, token, errNoWait)
	}
	if j.confirm == nil {
		return errLaneEnded
	}
	select {
	case <-j.confirm.Done(): // as it is for most of a batch
		return l.outcome(j)
	default:
	}
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	for {
		select {
		case <-j.confirm.Done():
			return l.outcome(j)
		case <-l.ended:
			return l.outcome(j)
		case <-ctx.Done():
			return l.leave(j, token, ctx.Err())
		case <-alarm:
			return l.leave(j, token, errNoWait)
		case <-timer.C:
			if l.s.alarm.err() != nil {
				timer.Reset(l.timeout) // it confirms when the alarm is over
				continue
			}
			return l.leave(j, token, fmt.Errorf("no confirm within %v", l.timeout))
		}
	}
}

// outcome is the result of a confirm that has come, or was given up by the client library because the channel is gone.
func (l *lane) outcome(j *job) error {
	l.mu.Lock()
	l.collectReturns()
	delete(l.flight, j.tag)
	returned := j.returned
	l.mu.Unlock()
	switch {
	case returned != "":
		l.counts.returned.Add(1)
		return fmt.Errorf("%w: %s", broker.ErrUnroutable, returned)
	case j.confirm.Acked():
		return nil
	}
	// A negative confirm and a lost channel look alike, but the client library marks the channel first.
	if l.hasEnded() || l.ch.IsClosed() {
		<-l.ended
		return errLaneEnded
	}
	return broker.ErrRefused
}

// leave gives up waiting for a job, which is not written if that has not begun. Its token is kept until the broker has answered.
func (l *lane) leave(j *job, token *token, why error) error {
	j.abandoned.Store(true)
	token.lent = l.s.crew.start(func() {
		defer func() { <-token.window }()
		select {
		case <-j.taken:
		case <-l.ended:
		}
		if j.confirm == nil {
			return // never written
		}
		select {
		case <-j.confirm.Done():
			_ = l.outcome(j) // tidies up; there is nobody to tell
		case <-l.ended:
		}
	})
	return unconfirmed(l.s, why)
}
