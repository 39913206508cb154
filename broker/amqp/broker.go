package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-399731e2/taskq/broker"
)

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Purger   = (*Broker)(nil)
	_ broker.Deleter  = (*Broker)(nil)
	_ broker.Measurer = (*Broker)(nil)
	_ broker.Delayer  = (*Broker)(nil)

	_ broker.BatchPublisher = (*Broker)(nil)
	_ broker.Prober         = (*Broker)(nil)
	_ broker.Impatient      = (*Broker)(nil)
	_ broker.Parking        = (*Broker)(nil)
)

// Broker is a RabbitMQ broker, or a cluster of them behind several URLs. It is safe for concurrent use.
type Broker struct {
	cfg          Config
	endpoints    []*endpoint
	lastEndpoint atomic.Int32 // index of the endpoint that worked last
	counts       counts
	tags         atomic.Uint64 // consumers started

	life    context.Context // ends when Close gives everything up
	endLife context.CancelFunc
	crew    crew
	spare   atomic.Pointer[session] // made by Open, taken by the link that first needs one

	consuming  *link
	publishing *link
	lanes      lanes
	window     chan struct{} // one token per message that waits for its confirm
	topology   memory
	parking    parking

	mu        sync.Mutex
	closing   bool
	publishes sync.WaitGroup // calls of Publish under way
	consumers map[*consumer]struct{}
	closed    chan struct{} // closed when Close is done
}

// Open reads the configuration and, unless cfg.Lazy is set, connects once, so that mistakes surface at once: the error wraps
// broker.ErrInvalid for a bad configuration, broker.ErrAccess for refused credentials or vhost, broker.ErrUnavailable when no
// broker can be reached. No error holds the password.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	endpoints, err := parseEndpoints(cfg.URL, cfg.TLS)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil && cfg.TLS.InsecureSkipVerify && cfg.TLS.VerifyConnection == nil {
		cfg.Logger.Warn("Config.TLS leaves the broker's certificate unverified")
	}
	b := &Broker{
		cfg:       cfg,
		endpoints: endpoints,
		window:    make(chan struct{}, cfg.ConfirmWindow),
		consumers: make(map[*consumer]struct{}),
		closed:    make(chan struct{}),
		parking:   parking{turn: make(chan struct{}, 1)},
	}
	b.life, b.endLife = context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds Open, not what it opened
	b.consuming = newLink(b, linkConsume, b.restoreForConsuming)
	b.publishing = newLink(b, linkPublish, b.restoreForPublishing)
	if cfg.Lazy {
		return b, nil
	}
	s, err := b.connect(ctx)
	if err != nil {
		b.endLife()
		b.crew.wait()
		return nil, err
	}
	b.spare.Store(s)
	return b, nil
}

// enter registers a call that Close waits for; leave it with b.publishes.Done.
func (b *Broker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return broker.ErrClosed
	}
	b.publishes.Add(1)
	return nil
}

func (b *Broker) isClosing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing
}

// Close implements broker.Broker. Publishes under way may finish while ctx lasts, at most for Config.CloseTimeout; it never takes
// much longer than that, whatever the broker does.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		<-b.closed
		return nil
	}
	b.closing = true
	consumers := make([]*consumer, 0, len(b.consumers))
	for c := range b.consumers {
		consumers = append(consumers, c)
	}
	b.mu.Unlock()
	defer close(b.closed)

	ctx, cancel := context.WithTimeout(ctx, b.cfg.CloseTimeout)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { b.finishPublishes(ctx) })
	errs := make([]error, len(consumers))
	for i, c := range consumers {
		wg.Go(func() { errs[i] = c.Close(ctx) })
	}
	wg.Wait()
	b.endLife() // the links close their sessions
	if s := b.spare.Swap(nil); s != nil {
		s.close(goodbye)
	}
	b.crew.wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("amqp: close consumers: %w", err)
	}
	return nil
}

// finishPublishes waits for the publishes under way, and gives them up when ctx ends.
func (b *Broker) finishPublishes(ctx context.Context) {
	finished := make(chan struct{})
	b.crew.start(func() {
		b.publishes.Wait() // after the end of life no publish waits any more
		close(finished)
	})
	select {
	case <-finished:
	case <-ctx.Done():
		b.endLife()
	}
}
