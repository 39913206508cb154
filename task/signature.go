package task

import (
	"fmt"
	"maps"
	"time"
)

// Signature is one call that has not been sent yet: a task's name, its arguments and how to send it.
type Signature struct {
	Task   string
	Args   []any
	Kwargs map[string]any
	// Immutable keeps the arguments as they are where a workflow would put earlier results in front of them (Celery's si).
	Immutable bool
	// Type is Celery's subtask_type: "" for a task, "chain", "group" or "chord" for what stands for several.
	Type string
	CallOptions
}

// CallOptions say how a call is sent. The zero value means: to the default queue, now, once.
type CallOptions struct {
	ID    string // "": a new UUID
	Queue string // "": by route, or the application's default queue
	// Exchange and RoutingKey publish to an exchange that must exist, in place of Queue; a RoutingKey alone is taken to the default exchange.
	Exchange, RoutingKey string
	Priority             uint8
	// Countdown is the delay until the task may start; ETA the time. ETA wins.
	Countdown time.Duration
	ETA       time.Time
	// ExpiresIn is how long after the sending the task may still start; Expires the time. Expires wins.
	ExpiresIn time.Duration
	Expires   time.Time
	// Limits for this call, in place of the task's own; 0 keeps those.
	TimeLimit, SoftTimeLimit time.Duration
	IgnoreResult             bool
	Shadow                   string
	Headers                  map[string]any // custom headers; the values must be of the types of broker.Table
	Transient                bool           // may be lost when the broker restarts
	// Serializer names the codec of the message, "json", "msgpack" or "auth"; "" is the application's.
	Serializer string
	// Compression of the body: "zlib" (which Celery calls gzip), "zstd", or "none"; "" is the application's.
	Compression string
	// Link are called with the result once the task has succeeded, LinkError with its id once it has failed.
	Link, LinkError []Signature
	// Chain are the tasks that follow this one, the next one first: each is called with the result of the one before.
	Chain []Signature
	// Chord is the body of the chord whose header this task belongs to; nil when it belongs to none.
	Chord *Signature
	// Ids of the workflow, which are set by themselves: the root is the task or, within a task, that one's root; the parent the
	// task that sends it.
	RootID, ParentID string
	// GroupID is the group that the task belongs to, GroupIndex its place there.
	GroupID    string
	GroupIndex int // -1: none
	// Retries is how often the task ran already, ReplacedNesting how often another one was put in its place (Task.replace). Workers
	// set them when they pass a call on.
	Retries, ReplacedNesting int
	// ReplyTo is the queue for the outcome (rpc results), in place of the sender's own.
	ReplyTo string
	// Detached keeps a task sent from within another one from being its child (add_to_parent=False).
	Detached bool
	// StampedHeaders are the names of the stamps, Stamps their values, which go on to all that follows.
	StampedHeaders []string
	Stamps         map[string]any
	// ArgsRepr and KwargsRepr are shown in logs, events and monitors in place of the arguments, which may be secret.
	ArgsRepr, KwargsRepr string
	// Properties of the message that Celery leaves empty.
	Properties Properties
	FailFast   bool // an error at once while the broker is away, instead of waiting for it
}

// Properties are AMQP message properties that mean nothing to a worker.
type Properties struct {
	MessageID, Type, AppID string
	Timestamp              time.Time // in whole seconds
}

// An Option sets how a task behaves; New, Remote and Raw take it.
type Option interface{ applyTask(*Settings) }

// A SendOption sets how one call is sent.
type SendOption interface{ applyCall(*CallOptions) }

// A CallOption is both: given to New it is the task's default, given to Send it holds for that call.
type CallOption func(*CallOptions)

func (f CallOption) applyTask(s *Settings)    { f(&s.Call) }
func (f CallOption) applyCall(c *CallOptions) { f(c) }

type sendOption func(*CallOptions)

func (f sendOption) applyCall(c *CallOptions) { f(c) }

type taskOption func(*Settings)

func (f taskOption) applyTask(s *Settings) { f(s) }

// Queue sends to the named queue.
func Queue(name string) CallOption { return func(c *CallOptions) { c.Queue = name } }

// Priority of the message, 0 to 255; higher is first. The queue needs x-max-priority.
func Priority(p uint8) CallOption { return func(c *CallOptions) { c.Priority = p } }

// ExpiresIn drops the task (state REVOKED) when it has not started this long after it was sent.
func ExpiresIn(d time.Duration) CallOption { return func(c *CallOptions) { c.ExpiresIn = d } }

// TimeLimit gives the task up after d: its slot is replaced and the outcome is FAILURE TimeLimitExceeded.
func TimeLimit(d time.Duration) CallOption { return func(c *CallOptions) { c.TimeLimit = d } }

// SoftTimeLimit cancels the task's context after d, with cause ErrSoftTimeLimit.
func SoftTimeLimit(d time.Duration) CallOption { return func(c *CallOptions) { c.SoftTimeLimit = d } }

// IgnoreResult stores no outcome.
func IgnoreResult() CallOption { return func(c *CallOptions) { c.IgnoreResult = true } }

// Shadow is the name to show in logs in place of the task's.
func Shadow(name string) CallOption { return func(c *CallOptions) { c.Shadow = name } }

// Transient lets the message be lost when the broker restarts.
func Transient() CallOption { return func(c *CallOptions) { c.Transient = true } }

// FailFast makes Send return broker.ErrUnavailable at once while the broker is away or takes no messages. Without it Send waits until
// its context ends.
func FailFast() CallOption { return func(c *CallOptions) { c.FailFast = true } }

// Header adds a custom header, readable in Request.Headers and kept on retries.
func Header(key string, value any) CallOption {
	return func(c *CallOptions) {
		c.Headers = maps.Clone(c.Headers)
		if c.Headers == nil {
			c.Headers = map[string]any{}
		}
		c.Headers[key] = value
	}
}

// ID sets the task id instead of a new UUID. Two tasks of one id share one outcome.
func ID(id string) SendOption { return sendOption(func(c *CallOptions) { c.ID = id }) }

// Countdown starts the task d from now at the earliest.
func Countdown(d time.Duration) SendOption {
	return sendOption(func(c *CallOptions) { c.Countdown = d })
}

// ETA starts the task at t at the earliest.
func ETA(t time.Time) SendOption { return sendOption(func(c *CallOptions) { c.ETA = t }) }

// Expires drops the task (state REVOKED) when it has not started at t.
func Expires(t time.Time) SendOption { return sendOption(func(c *CallOptions) { c.Expires = t }) }

// Validate refuses what no peer could run; it names the option.
func (c CallOptions) Validate() error {
	switch {
	case c.SoftTimeLimit < 0 || c.TimeLimit < 0:
		return fmt.Errorf("task: negative time limit")
	case c.TimeLimit > 0 && c.SoftTimeLimit > c.TimeLimit:
		return fmt.Errorf("task: the soft time limit %s is above the hard one, %s", c.SoftTimeLimit, c.TimeLimit)
	case c.Countdown < 0:
		return fmt.Errorf("task: negative countdown %s", c.Countdown)
	case c.ExpiresIn < 0:
		return fmt.Errorf("task: negative expiry %s", c.ExpiresIn)
	}
	return nil
}
