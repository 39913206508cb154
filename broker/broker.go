// Package broker says what taskq needs of a message broker: declare, publish, consume, settle.
//
// The names are AMQP's, because RabbitMQ is the broker that carries production. The adapters are in broker/amqp, broker/sqlite
// and broker/mem; each passes the suite in broker/brokertest. The package knows nothing of tasks.
package broker

import (
	"context"
	"errors"
	"time"
)

// Broker is a connection to a message broker. It is safe for concurrent use and reconnects by itself.
type Broker interface {
	// Declare creates what is missing of the topology. It returns a *DeclareError when something exists with other properties.
	Declare(ctx context.Context, topology Topology) error
	// Publish returns nil once the broker has taken responsibility for the message (on AMQP: the publisher confirm). It returns
	// ErrUnroutable when no queue took the message and to.Optional is not set, ErrClosed after Close. While the broker is away it
	// waits until ctx ends, unless to.FailFast is set, and then returns an error that wraps ErrUnavailable; one that wraps
	// ErrUnconfirmed, too, says that the message may have been taken: to send it again may send it twice.
	Publish(ctx context.Context, to Address, msg Message) error
	// Consume starts a consumer on one or more queues that exist.
	Consume(ctx context.Context, cfg ConsumeConfig) (Consumer, error)
	// Close closes the consumers, gives back what is unsettled, and closes the connection.
	Close(ctx context.Context) error
}

// Consumer hands out deliveries. It is safe for concurrent use.
type Consumer interface {
	// Next waits for a delivery. It returns ErrClosed after Cancel (once nothing is left to hand out) or Close, and ctx's error
	// when that ends first. A lost connection does not surface here: the consumer is rebuilt and Next waits on.
	Next(ctx context.Context) (*Delivery, error)
	// SetPrefetch changes how many unsettled deliveries may be outstanding.
	SetPrefetch(ctx context.Context, n int) error
	// Cancel stops new deliveries and gives back those not yet returned by Next; those returned can still be settled.
	Cancel(ctx context.Context) error
	// Close is Cancel, and gives back what is unsettled.
	Close(ctx context.Context) error
}

// ConsumeConfig says what a consumer wants.
type ConsumeConfig struct {
	// Queues to consume; at least one. All exist.
	Queues []string
	// Prefetch is how many unsettled deliveries may be outstanding, over all queues of the consumer. 0 is refused: nothing here is
	// unbounded.
	Prefetch int
	// AutoAck settles each delivery as it is handed out (AMQP's no_ack); Settle then returns ErrSettled.
	AutoAck bool
	// Exclusive asks to be the only consumer of the queues.
	Exclusive bool
	// Priority of the consumer (RabbitMQ's x-priority): while one with a higher priority takes messages, the others get none. 0 is the
	// default. The broker in memory looks at it when several wait in Next; the embedded store does not look at it.
	Priority int
}

// Address is where a message goes.
type Address struct {
	// Exchange to publish to; "" is the default exchange, which routes to the queue named by RoutingKey.
	Exchange string
	// RoutingKey, at most 255 bytes.
	RoutingKey string
	// Optional lets a message that no queue takes vanish instead of returning ErrUnroutable (the opposite of AMQP's mandatory).
	Optional bool
	// FailFast returns ErrUnavailable at once while the broker is away or takes no messages, instead of waiting for it.
	FailFast bool
}

// Table is a table of message headers or declare arguments. Only these types are written, because py-amqp misreads the others:
// nil, bool, string, []byte, int32, int64 (not negative), float64 (finite), time.Time, []any and Table of them.
type Table = map[string]any

// Message is what travels.
type Message struct {
	ContentType     string
	ContentEncoding string
	Headers         Table
	// Transient messages may be lost when the broker restarts (AMQP delivery_mode 1); the zero value is persistent.
	Transient     bool
	Priority      uint8
	CorrelationID string
	ReplyTo       string
	// Expiration is how long the message may wait in a queue; 0 means for ever. Rounded up to milliseconds.
	Expiration time.Duration
	MessageID  string
	Timestamp  time.Time
	Type       string
	AppID      string
	Body       []byte
}

// Posting is a message with its address.
type Posting struct {
	To      Address
	Message Message
}

// Optional capabilities of a Broker, in the manner of database/sql/driver. All brokers of this module have them, but for Impatient,
// which only RabbitMQ is.
type (
	// BatchPublisher publishes several messages at the cost of little more than one, in their order. It returns what Publish would
	// have returned for each, or nil when all were taken. Some may be taken and others not.
	BatchPublisher interface {
		PublishBatch(ctx context.Context, batch []Posting) []error
	}
	// Prober tells without waiting why a message could not be published now; the error wraps ErrUnavailable or ErrClosed.
	Prober interface {
		Probe() error
	}
	// Purger removes the messages that wait in a queue and returns how many there were; ErrNoQueue when it does not exist.
	Purger interface {
		Purge(ctx context.Context, queue string) (int, error)
	}
	// Deleter deletes a queue with its messages; a queue that does not exist is no error.
	Deleter interface {
		DeleteQueue(ctx context.Context, queue string) error
	}
	// Measurer returns the depth of a queue; ErrNoQueue when it does not exist.
	Measurer interface {
		Measure(ctx context.Context, queue string) (QueueStats, error)
	}
	// Impatient brokers take a delivery back that is not settled within the timeout, and hand it out again.
	Impatient interface {
		DeliveryTimeout() time.Duration
	}
	// Delayer publishes a message that becomes visible after the delay. The message waits in the broker, not in this process.
	// Implementations may deliver up to 100 ms late. When the broker has no such exact delay they may deliver early, but never
	// those of up to 5 s: the message says when it is due, and the receiver parks it for the rest.
	Delayer interface {
		PublishDelayed(ctx context.Context, to Address, msg Message, delay time.Duration) error
	}
	// Parking lets people see what PublishDelayed has put off, and take it back. It may be slow, and hold messages up for a moment.
	Parking interface {
		// Parked passes on what waits until show returns false, in no order. A message may be missed, or shown twice, when it becomes
		// due or is parked meanwhile.
		Parked(ctx context.Context, show func(Parked) bool) error
		// Unpark removes those messages for which match is true, and returns how many there were, also with an error. match must not
		// use the broker.
		Unpark(ctx context.Context, match func(Parked) bool) (int, error)
	}
)

// Parked is a message that waits for its time.
type Parked struct {
	Message
	To  Address
	Due time.Time // when it becomes visible in its queue; on RabbitMQ that may be before the task is due
}

// QueueStats is the state of one queue.
type QueueStats struct {
	Messages  int // waiting, not counting those delivered and unsettled
	Consumers int
}

// Errors of a broker. Test with errors.Is.
var (
	ErrClosed     = errors.New("broker is closed")
	ErrSettled    = errors.New("delivery is already settled")
	ErrStale      = errors.New("delivery is stale: its connection or lease is gone and the broker hands it out again")
	ErrUnroutable = errors.New("message is unroutable: no queue takes it")
	ErrNoQueue    = errors.New("queue does not exist")
	ErrRefused    = errors.New("broker refused the message")
	// ErrAccess is wrapped by errors about credentials and permissions (AMQP 403) and missing virtual hosts (530): trying again
	// does not help.
	ErrAccess = errors.New("access refused")
	// ErrUnavailable is wrapped by errors about a broker that cannot be reached.
	ErrUnavailable = errors.New("broker is unavailable")
	// ErrUnconfirmed is wrapped by errors about a message that was written and not answered: it may have been taken.
	ErrUnconfirmed = errors.New("message is unconfirmed and may have been taken")
	// ErrInvalid is wrapped by errors about messages and addresses that the wire cannot carry.
	ErrInvalid = errors.New("invalid")
)
