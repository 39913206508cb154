package task

import (
	"maps"
	"slices"
	"time"
)

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

// Queue sends to the named queue, in place of an exchange.
func Queue(name string) CallOption {
	return func(c *CallOptions) {
		if c.Exchange != "" {
			c.RoutingKey = "" // it was for that
		}
		c.Queue, c.Exchange = name, ""
	}
}

// Exchange sends to an exchange that must exist, in place of a queue; RoutingKey says to whom it passes the call on. A call that no
// queue takes is an error that wraps broker.ErrUnroutable, also a broadcast that nobody listens to: whoever does not mind tests for it.
func Exchange(name string) CallOption {
	return func(c *CallOptions) { c.Queue, c.Exchange = "", name }
}

// RoutingKey is what an Exchange finds the queues by: a topic, say. With a Queue that has an exchange of another type than direct, it
// is the key for that exchange; with any other queue it has no effect. Without either it is for the exchange of the queue that the call
// goes to by its task, by route or by default; if that is direct, and nothing but the default led there, it is the name of a queue, which is
// not declared.
func RoutingKey(key string) CallOption {
	return func(c *CallOptions) { c.RoutingKey = key }
}

// Priority of the message, 0 to 255; higher is first. The queue needs x-max-priority.
func Priority(p uint8) CallOption {
	return func(c *CallOptions) { c.Priority, c.Given = p, c.Given|givenPriority }
}

// ExpiresIn drops the task (state REVOKED) when it has not started this long after it was sent; 0 lets it start at any time.
func ExpiresIn(d time.Duration) CallOption {
	return func(c *CallOptions) { c.ExpiresIn, c.Expires, c.Given = d, time.Time{}, c.Given|givenExpiry }
}

// GroupIndex is the place in a group. Workflows set it by themselves.
func GroupIndex(i int) CallOption {
	return func(c *CallOptions) { c.GroupIndex, c.Given = i, c.Given|givenGroupIndex }
}

// TimeLimit gives the task up after d: its slot is replaced and the outcome is FAILURE TimeLimitExceeded. 0 leaves it to the worker.
func TimeLimit(d time.Duration) CallOption {
	return func(c *CallOptions) { c.TimeLimit, c.Given = d, c.Given|givenTimeLimit }
}

// SoftTimeLimit cancels the task's context after d, with cause ErrSoftTimeLimit. 0 leaves it to the worker.
func SoftTimeLimit(d time.Duration) CallOption {
	return func(c *CallOptions) { c.SoftTimeLimit, c.Given = d, c.Given|givenSoftTimeLimit }
}

// IgnoreResult stores no outcome.
func IgnoreResult() CallOption {
	return func(c *CallOptions) { c.IgnoreResult, c.Given = true, c.Given|givenResult }
}

// KeepResult stores the outcome, of a call whose task has IgnoreResult (ignore_result=False).
func KeepResult() CallOption {
	return func(c *CallOptions) { c.IgnoreResult, c.Given = false, c.Given|givenResult }
}

// Shadow is the name to show in logs in place of the task's.
func Shadow(name string) CallOption { return func(c *CallOptions) { c.Shadow = name } }

// Transient lets the message be lost when the broker restarts (delivery_mode=1).
func Transient() CallOption {
	return func(c *CallOptions) { c.Transient, c.Given = true, c.Given|givenDelivery }
}

// Persistent keeps the message when the broker restarts (delivery_mode=2), which is the default.
func Persistent() CallOption {
	return func(c *CallOptions) { c.Transient, c.Given = false, c.Given|givenDelivery }
}

// Serializer names the codec of the message: json, msgpack or auth.
func Serializer(name string) CallOption { return func(c *CallOptions) { c.Serializer = name } }

// Compression of the message's body: zlib (which Celery calls gzip, too), zstd, or none.
func Compression(name string) CallOption { return func(c *CallOptions) { c.Compression = name } }

// Detached keeps a task that is sent from within another one from being its child (add_to_parent=False). Its parent and root ids
// still name that one.
func Detached() CallOption { return func(c *CallOptions) { c.Detached = true } }

// ArgsRepr is shown in logs, events and monitors in place of the positional arguments, which may be secret. The message still
// carries these.
func ArgsRepr(text string) CallOption { return func(c *CallOptions) { c.ArgsRepr = text } }

// KwargsRepr is shown in place of the keyword arguments; see ArgsRepr.
func KwargsRepr(text string) CallOption { return func(c *CallOptions) { c.KwargsRepr = text } }

// AppID is the message property that names the sending application. Workers do not look at it.
func AppID(id string) CallOption { return func(c *CallOptions) { c.Properties.AppID = id } }

// MessageType is the message property of that name. Workers do not look at it.
func MessageType(name string) CallOption { return func(c *CallOptions) { c.Properties.Type = name } }

// FailFast makes Send return broker.ErrUnavailable at once while the broker is away or takes no messages (retry=False). Without it
// Send waits until its context ends.
func FailFast() CallOption {
	return func(c *CallOptions) { c.FailFast, c.Publish, c.Given = true, nil, c.Given|givenPublish }
}

// PublishRetry bounds how often Send tries while the broker is away or takes no messages (retry_policy), in place of waiting until its
// context ends. Then it returns broker.ErrUnavailable.
func PublishRetry(p PublishPolicy) CallOption {
	return func(c *CallOptions) { c.FailFast, c.Publish, c.Given = false, &p, c.Given|givenPublish }
}

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
	return sendOption(func(c *CallOptions) { c.Countdown, c.ETA = d, time.Time{} })
}

// ETA starts the task at t at the earliest.
func ETA(t time.Time) SendOption {
	return sendOption(func(c *CallOptions) { c.Countdown, c.ETA = 0, t })
}

// Expires drops the task (state REVOKED) when it has not started at t.
func Expires(t time.Time) SendOption {
	return sendOption(func(c *CallOptions) { c.ExpiresIn, c.Expires, c.Given = 0, t, c.Given|givenExpiry })
}

// Link adds calls that are made once the task has succeeded. Each gets the result in front of its arguments, unless it is immutable.
func Link(calls ...Signature) SendOption {
	return sendOption(func(c *CallOptions) { c.Link = append(slices.Clone(c.Link), calls...) })
}

// LinkError adds calls that are made once the task has failed. Each gets the task's id in front of its arguments, unless it is
// immutable.
func LinkError(calls ...Signature) SendOption {
	return sendOption(func(c *CallOptions) { c.LinkError = append(slices.Clone(c.LinkError), calls...) })
}

// Stamp marks the call with a value, or a list of them, that it can be found and revoked by; the stamp goes on with retries. Celery
// 5.2 does not know stamps.
func Stamp(name string, value any) SendOption {
	return sendOption(func(c *CallOptions) {
		c.Stamps = maps.Clone(c.Stamps)
		if c.Stamps == nil {
			c.Stamps = map[string]any{}
		}
		if _, again := c.Stamps[name]; !again {
			c.StampedHeaders = append(slices.Clone(c.StampedHeaders), name)
		}
		c.Stamps[name] = value
	})
}

// RootID sets the id of the first task of the workflow, for bridges that pass calls of others on. It is set by itself else.
func RootID(id string) SendOption { return sendOption(func(c *CallOptions) { c.RootID = id }) }

// ParentID sets the id of the task that this one is sent by; see RootID.
func ParentID(id string) SendOption { return sendOption(func(c *CallOptions) { c.ParentID = id }) }

// ReplyTo is the queue for the outcome of workers that answer by message (rpc), in place of the sender's own: the handle that Send
// returns then has nothing to wait for, unless results are kept in a store.
func ReplyTo(queue string) SendOption { return sendOption(func(c *CallOptions) { c.ReplyTo = queue }) }

// MessageID is the message property of that name. Workers do not look at it.
func MessageID(id string) SendOption {
	return sendOption(func(c *CallOptions) { c.Properties.MessageID = id })
}

// Timestamp is the message property of that name, in whole seconds. Workers do not look at it.
func Timestamp(t time.Time) SendOption {
	return sendOption(func(c *CallOptions) { c.Properties.Timestamp = t })
}
