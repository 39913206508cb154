package task

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Signature is one call that has not been sent yet: a task's name, its arguments and how to send it. A task makes one with S; one
// by name alone is made as a literal, for a sender to fill in the defaults of the task if it knows them.
type Signature struct {
	Task   string
	Args   []any
	Kwargs map[string]any
	// Immutable keeps the arguments as they are where a workflow would put earlier results in front of them (Celery's si).
	Immutable bool
	// Type is Celery's subtask_type: "" for a task, "chain", "group" or "chord" for what stands for several.
	Type string
	// Tasks are what a chain, group or chord is made of: its steps, its members, its header. The header of a chord may be one group, whose
	// options then hold for each of its members.
	Tasks []Signature
	// Body of a chord: what is called with the list of the header's results; nil elsewhere.
	Body *Signature
	CallOptions
}

// CallOptions say how a call is sent. The zero value means: to the default queue, now, once.
type CallOptions struct {
	ID    string // "": a new UUID
	Queue string // "": by route, or the application's default queue
	// Exchange publishes to an exchange that must exist, in place of Queue. RoutingKey is for that, or for the exchange of the queue; see the
	// option of its name.
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
	FailFast   bool           // an error at once while the broker is away, instead of waiting for it
	Publish    *PublishPolicy // a few tries while the broker is away, instead of waiting for it; nil: see FailFast

	// Given notes what options have set, to a zero that is a wish of its own maybe, such as KeepResult. It is not sent.
	Given Given
}

// Properties are AMQP message properties that mean nothing to a worker.
type Properties struct {
	MessageID, Type, AppID string
	Timestamp              time.Time // in whole seconds
}

// Given says of the options whose zero is a wish of its own which ones were set. A zero that was not given is left open.
type Given uint16

const (
	givenPriority Given = 1 << iota
	givenExpiry
	givenTimeLimit
	givenSoftTimeLimit
	givenResult
	givenDelivery
	givenPublish
	givenGroupIndex
	givenDefaults // those of the task are in
)

// With returns a copy of the call with more options (Celery's set). The call itself stays as it is.
func (s Signature) With(opts ...SendOption) Signature {
	s = s.Clone()
	for _, o := range opts {
		o.applyCall(&s.CallOptions)
	}
	return s
}

// Clone returns a copy that shares no list or map with the call. The arguments themselves are not copied.
func (s Signature) Clone() Signature {
	s.Args, s.Kwargs = slices.Clone(s.Args), maps.Clone(s.Kwargs)
	s.Tasks = cloneAll(s.Tasks)
	if s.Body != nil {
		body := s.Body.Clone()
		s.Body = &body
	}
	s.CallOptions = s.clone()
	return s
}

func (c CallOptions) clone() CallOptions {
	c.Headers, c.Stamps = maps.Clone(c.Headers), maps.Clone(c.Stamps)
	c.StampedHeaders = slices.Clone(c.StampedHeaders)
	c.Link, c.LinkError, c.Chain = cloneAll(c.Link), cloneAll(c.LinkError), cloneAll(c.Chain)
	if c.Chord != nil {
		body := c.Chord.Clone()
		c.Chord = &body
	}
	return c
}

func cloneAll(list []Signature) []Signature {
	list = slices.Clone(list)
	for i, s := range list {
		list[i] = s.Clone()
	}
	return list
}

// Complete returns the call with what it leaves open taken from the task's defaults, and what those leave open from the
// application's: the call goes before the task, the task before the application. spec is nil when the task is not known; a call that
// S made has the defaults of its task already.
func (s Signature) Complete(spec *Spec, app CallOptions) Signature {
	if spec != nil && s.Given&givenDefaults == 0 {
		s.CallOptions = s.over(spec.Call)
	}
	s.CallOptions = s.over(app)
	s.Given |= givenDefaults
	return s
}

// Times returns when the call may start and when it is too late for it, zero for at once and never. Countdown and ExpiresIn count
// from now.
func (c CallOptions) Times(now time.Time) (eta, expires time.Time) {
	eta, expires = c.ETA, c.Expires
	if eta.IsZero() && c.Countdown > 0 {
		eta = now.Add(c.Countdown)
	}
	if expires.IsZero() && c.ExpiresIn > 0 {
		expires = now.Add(c.ExpiresIn)
	}
	return eta, expires
}

// Validate refuses what no peer could run, in the call, in what a workflow is made of and in the calls that follow it; it names the place and
// the option.
func (s Signature) Validate() error {
	if err := validSignature(&s); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	return nil
}

// Validate refuses what no peer could run; it names the option. Of workflows that follow it does not look at how they are made: whoever
// passes a call on must not lose it for what comes later.
func (c CallOptions) Validate() error {
	if err := validOptions(&c, false); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	return nil
}

// named looks at the options alone.
func named(s *Signature) error {
	if s.Task == "" {
		return errors.New("the call names no task")
	}
	return validOptions(&s.CallOptions, false)
}

func validOptions(c *CallOptions, deep bool) error {
	switch {
	case c.SoftTimeLimit < 0 || c.TimeLimit < 0:
		return errors.New("negative time limit")
	case c.TimeLimit > 0 && c.SoftTimeLimit > c.TimeLimit:
		return fmt.Errorf("the soft time limit %s is above the hard one, %s", c.SoftTimeLimit, c.TimeLimit)
	case c.Countdown < 0:
		return fmt.Errorf("negative countdown %s", c.Countdown)
	case c.ExpiresIn < 0:
		return fmt.Errorf("negative expiry %s", c.ExpiresIn)
	case c.GroupIndex < -1: // which is none
		return fmt.Errorf("negative group index %d", c.GroupIndex)
	case c.GroupIndex > 0 && c.GroupID == "" && c.Given&givenGroupIndex == 0:
		return fmt.Errorf("the group index %d needs a group id", c.GroupIndex)
	}
	if c.Publish != nil {
		if err := c.Publish.validate(); err != nil {
			return err
		}
	}
	return validFollowers(c, deep)
}

// validFollowers looks at what is called after the task, and when deep at how it is made.
func validFollowers(c *CallOptions, deep bool) error {
	if len(c.Link)+len(c.LinkError)+len(c.Chain) == 0 && c.Chord == nil {
		return nil // as for most calls, at no cost
	}
	valid := named
	if deep {
		valid = validSignature
	}
	for _, list := range []struct {
		option string
		calls  []Signature
	}{{"link", c.Link}, {"link_error", c.LinkError}, {"chain", c.Chain}} {
		for i := range list.calls {
			if err := valid(&list.calls[i]); err != nil {
				return fmt.Errorf("%s[%d]: %w", list.option, i, err)
			}
		}
	}
	if c.Chord != nil {
		if err := valid(c.Chord); err != nil {
			return fmt.Errorf("chord: %w", err)
		}
	}
	return nil
}
