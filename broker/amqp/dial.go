package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// connect tries every endpoint once, from the one that worked last, and returns the first session.
func (b *Broker) connect(ctx context.Context) (*session, error) {
	var failed []error
	first := int(b.lastEndpoint.Load())
	for i := range b.endpoints {
		at := (first + i) % len(b.endpoints)
		s, err := b.dial(ctx, b.endpoints[at])
		if err == nil {
			b.lastEndpoint.Store(int32(at))
			return s, nil
		}
		failed = append(failed, err)
	}
	if len(failed) == 1 {
		return nil, failed[0]
	}
	return nil, fmt.Errorf("amqp: none of the %d brokers took the connection: %w", len(failed), several(failed))
}

// dial makes one session: TCP, TLS, then the AMQP handshake, all within the dial timeout.
func (b *Broker) dial(ctx context.Context, ep *endpoint) (*session, error) {
	timeout := b.cfg.DialTimeout
	if ep.timeout > 0 {
		timeout = ep.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", ep.addr)
	if err != nil {
		return nil, connectError(ep, err)
	}
	abort := context.AfterFunc(ctx, func() { _ = raw.Close() }) // the client library's handshake knows no context
	s, err := b.handshake(ctx, ep, raw)
	if err != nil || !abort() {
		_ = raw.Close()
		if ctxErr := ctx.Err(); ctxErr != nil {
			err = ctxErr
		}
		return nil, connectError(ep, err)
	}
	if !b.crew.start(s.watch) {
		_ = raw.Close()
		return nil, broker.ErrClosed
	}
	return s, nil
}

func (b *Broker) handshake(ctx context.Context, ep *endpoint, raw net.Conn) (*session, error) {
	var stream net.Conn = &deadlineConn{Conn: raw, timeout: b.cfg.WriteTimeout}
	if ep.tls != nil {
		conf, err := ep.tls()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errTLSFiles, err)
		}
		client := tls.Client(stream, conf)
		if err := client.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		stream = client
	}
	heartbeat := b.cfg.Heartbeat
	if ep.heartbeat > 0 {
		heartbeat = ep.heartbeat
	}
	frames := newFrameConn(stream)
	conn, err := amqp091.Open(frames, amqp091.Config{
		SASL:      ep.sasl(),
		Vhost:     ep.vhost,
		FrameSize: frameMax,
		Heartbeat: heartbeat,
		Locale:    "en_US",
		Properties: amqp091.Table{ // new for each connection: the client library writes into it
			"product":         "taskq",
			"platform":        "Go " + runtime.Version(),
			"connection_name": b.cfg.ConnectionName,
		},
	})
	if err != nil {
		return nil, socketError(frames, err)
	}
	return &session{
		id:          b.counts.sessions.Add(1),
		endpoint:    ep,
		conn:        conn,
		raw:         raw,
		frames:      frames,
		callTimeout: b.cfg.CallTimeout,
		crew:        &b.crew,
		closes:      conn.NotifyClose(make(chan *amqp091.Error, 1)),
		blocks:      conn.NotifyBlocked(make(chan amqp091.Blocking, 16)),
		done:        make(chan struct{}),
	}, nil
}

// socketError prefers the socket's error to the client library's guess, which is that credentials or vhost were refused.
func socketError(frames *frameConn, err error) error {
	var reply *amqp091.Error
	if errors.As(err, &reply) && reply.Server {
		return err
	}
	select {
	case socket := <-frames.broken:
		return socket
	default:
		return err
	}
}
