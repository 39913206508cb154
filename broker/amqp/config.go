package amqp

import (
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
	// CloseTimeout bounds Close when its context does not. Default 5 s.
	CloseTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait between attempts to connect; it doubles with each and is jittered over its whole
	// length. Default 200 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
	// TLS is used for amqps:// URLs instead of the URL's certificate parameters; it is cloned. TLS 1.2 at least.
	TLS *tls.Config
	// Logger gets connects, losses and retries. Default: discards.
	Logger *slog.Logger
	// ConfirmWindow is how many published messages may wait for their confirm. Default 1000.
	ConfirmWindow int
	// MaxBody is the largest message body in bytes. Default 16 MiB, RabbitMQ's own limit since 4.0; older brokers take up to
	// 128 MiB.
	MaxBody int
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
		{"CloseTimeout", &c.CloseTimeout, 5 * time.Second},
		{"BackoffMin", &c.BackoffMin, 200 * time.Millisecond},
		{"BackoffMax", &c.BackoffMax, 30 * time.Second},
	}
	for _, d := range durations {
		if *d.value < 0 {
			return c, fmt.Errorf("amqp: Config.%s is %v: %w: it must not be negative", d.name, *d.value, broker.ErrInvalid)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.Heartbeat < time.Second {
		return c, fmt.Errorf("amqp: Config.Heartbeat is %v: %w: AMQP counts heartbeats in whole seconds", c.Heartbeat, broker.ErrInvalid)
	}
	if c.BackoffMax < c.BackoffMin {
		return c, fmt.Errorf("amqp: Config.BackoffMax %v is below BackoffMin %v: %w", c.BackoffMax, c.BackoffMin, broker.ErrInvalid)
	}
	if c.ConfirmWindow < 0 || c.MaxBody < 0 {
		return c, fmt.Errorf("amqp: Config.ConfirmWindow %d or MaxBody %d: %w: they must not be negative",
			c.ConfirmWindow, c.MaxBody, broker.ErrInvalid)
	}
	if c.ConfirmWindow == 0 {
		c.ConfirmWindow = 1000
	}
	if c.MaxBody == 0 {
		c.MaxBody = 16 << 20
	}
	if c.ConnectionName == "" {
		c.ConnectionName = "taskq"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
