package task

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// Request is one call of a task as a worker got it. Handlers read it with FromContext and must not change it.
type Request struct {
	ID   string
	Name string
	Arguments
	RootID   string // id of the first task of the workflow
	ParentID string // id of the task that sent this one
	Group    string
	// GroupIndex is the position in Group; -1 when there is none.
	GroupIndex int
	Retries    int
	ETA        time.Time // zero: at once
	Expires    time.Time // zero: never
	// Limits of this call; 0 means none was sent.
	TimeLimit, SoftTimeLimit time.Duration
	IgnoreResult             bool
	// KeepResult says that the message asks for the outcome in so many words (ignore_result is false, not absent). It goes before the
	// task's own IgnoreResult, as in Celery 5.7.
	KeepResult             bool
	ReplyTo, CorrelationID string
	Shadow, Origin         string // name for logs; who sent it
	ArgsRepr, KwargsRepr   string // for people only
	ReplacedNesting        int
	StampedHeaders         []string
	Stamps                 map[string]any
	// Headers are the custom ones: all that Celery does not know.
	Headers map[string]any
	Embed   Embed
	// Envelope is what the body was signed with, nil when it was not; what is sent on with its parts must be signed again.
	Envelope codec.Envelope
	// Compression of the body, as the message's header says; "" is none.
	Compression string

	// How it was delivered.
	Queue                string
	Exchange, RoutingKey string
	Priority             uint8
	Redelivered          bool
	Properties           Properties // those that mean nothing to a worker; retries do not carry them
	Hostname             string     // the worker's node name
	Protocol             int        // of the message: 1 or 2
}

// Embed is what a message carries for after the task: signatures, encoded by the codec of the arguments. A nil part is absent.
type Embed struct {
	Callbacks, Errbacks, Chain, Chord codec.Raw
}

// IsEmpty reports whether there is none of them.
func (e *Embed) IsEmpty() bool {
	return e.Callbacks == nil && e.Errbacks == nil && e.Chain == nil && e.Chord == nil
}

// DisplayName is the name for logs: Shadow when it is set.
func (r *Request) DisplayName() string {
	if r.Shadow != "" {
		return r.Shadow
	}
	return r.Name
}

type requestKey struct{}

// WithRequest returns a context that carries the request; workers and tests call it.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// FromContext returns the request that the handler runs for. It returns nil outside of a task.
func FromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}
