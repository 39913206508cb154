package amqp

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// Config says how to reach RabbitMQ and how patient to be. Only URL is required.
type Config struct {
	// URL is amqp://user:password@host:5672/vhost, or amqps:// for TLS. Several URLs separated by ";" are tried in turn, as Celery
	// does. Special characters in user, password and vhost are percent-encoded; an empty vhost is "/". Of RabbitMQ's query
	// parameters these are understood: heartbeat (seconds), connection_timeout (milliseconds), auth_mechanism (plain, amqplain,
	// external), cacertfile, certfile, keyfile, server_name_indication.
	URL string
	// ConnectionName is shown by RabbitMQ's management tools. Default "taskq".
	ConnectionName string
	// Heartbeat is the interval asked for, in whole seconds; the broker's own is used when shorter. Default 10 s. A dead connection
	// is noticed after at most 1.5 of it.
	Heartbeat time.Duration
	// DialTimeout bounds TCP, TLS and AMQP handshake together, per address. Default 10 s.
	DialTimeout time.Duration
	// WriteTimeout bounds each write to the socket (16 KiB); a connection that takes longer is given up. Default 10 s.
	WriteTimeout time.Duration
	// CallTimeout bounds each request to the broker (declare, consume, cancel); a connection that takes longer is given up.
	// Default 30 s.
	CallTimeout time.Duration
	// ConfirmTimeout is how long a publish waits for the broker's confirm while the broker is not blocking publishers. Default 60 s.
	ConfirmTimeout time.Duration
	// DeliveryTimeout is how long the broker lets a delivery be unacknowledged before it closes the channel that it was sent on
	// (RabbitMQ's consumer_timeout, which a client cannot ask for). What is out for a tenth of it is left on a channel of its own, so
	// that the others of the queue are not given back with it. Default 30 min, as RabbitMQ's.
	DeliveryTimeout time.Duration
	// WatchInterval is when a consumer that receives nothing looks whether messages wait all the same; it is replaced when they do. It
	// doubles four times while all is well. Default 3 s.
	WatchInterval time.Duration
	// CloseTimeout bounds Close when its context does not. Default 5 s.
	CloseTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait between attempts to connect; it doubles with each and is jittered over its whole
	// length. Default 200 ms and 5 s.
	BackoffMin, BackoffMax time.Duration
	// AccessPause is the least wait after the broker refused the credentials or the vhost: brokers lock users out who try too often.
	// Default 30 s.
	AccessPause time.Duration
	// TLS is used for amqps:// URLs instead of the URL's certificate parameters; it is cloned. TLS 1.2 at least.
	TLS *tls.Config
	// Logger gets connects, losses and retries. Default: discards.
	Logger *slog.Logger
	// ConfirmWindow is how many published messages may wait for their confirm. Default 1000.
	ConfirmWindow int
	// MaxBody is the largest message body in bytes. Default 16 MiB, RabbitMQ's own limit since 4.0; older brokers take up to
	// 128 MiB.
	MaxBody int
	// Declare says whether PublishDelayed may declare its delay queues: "" and auto let it; else they must be there, each made by
	// somebody who may (its error says how). It bears on nothing else: what Declare is told to declare, it declares.
	Declare broker.DeclareMode
	// Delays says in which queues delayed messages wait. "" is DelaysOwn.
	Delays Delays
	// Lazy lets Open return before the first connection, so that a worker can start while the broker is down. Only mistakes in the
	// configuration are reported then; everything else waits for the broker until its context ends.
	Lazy bool
}

// withDefaults fills in zero fields and refuses values that mean nothing.
func (c Config) withDefaults() (Config, error) {
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Heartbeat", &c.Heartbeat, 10 * time.Second},
		{"DialTimeout", &c.DialTimeout, 10 * time.Second},
		{"WriteTimeout", &c.WriteTimeout, 10 * time.Second},
		{"CallTimeout", &c.CallTimeout, 30 * time.Second},
		{"ConfirmTimeout", &c.ConfirmTimeout, 60 * time.Second},
		{"DeliveryTimeout", &c.DeliveryTimeout, 30 * time.Minute},
		{"WatchInterval", &c.WatchInterval, 3 * time.Second},
		{"CloseTimeout", &c.CloseTimeout, 5 * time.Second},
		{"BackoffMin", &c.BackoffMin, 200 * time.Millisecond},
		{"BackoffMax", &c.BackoffMax, 5 * time.Second},
		{"AccessPause", &c.AccessPause, 30 * time.Second},
	}
	for _, d := range durations {
		if *d.value < 0 {
			return c, invalid("Config."+d.name, fmt.Sprintf("it is %v, it must not be negative", *d.value))
		}
		*d.value = cmp.Or(*d.value, d.def)
	}
	switch {
	case c.Heartbeat < time.Second:
		return c, invalid("Config.Heartbeat", fmt.Sprintf("it is %v, AMQP counts whole seconds", c.Heartbeat))
	case c.BackoffMax < c.BackoffMin:
		return c, invalid("Config.BackoffMax", fmt.Sprintf("it is %v, below BackoffMin, %v", c.BackoffMax, c.BackoffMin))
	case c.Delays != "" && c.Delays != DelaysOwn && c.Delays != DelaysCelery:
		return c, invalid("Config.Delays", fmt.Sprintf("it is %q, use %s or %s", c.Delays, DelaysOwn, DelaysCelery))
	case c.ConfirmWindow < 0:
		return c, invalid("Config.ConfirmWindow", "it must not be negative")
	case c.MaxBody < 0:
		return c, invalid("Config.MaxBody", "it must not be negative")
	}
	c.ConfirmWindow = cmp.Or(c.ConfirmWindow, 1000)
	c.MaxBody = cmp.Or(c.MaxBody, 16<<20)
	c.ConnectionName = cmp.Or(c.ConnectionName, "taskq")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
