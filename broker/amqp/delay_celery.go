package amqp

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// Delays says in which queues delayed messages wait.
type Delays string

const (
	// DelaysOwn is taskq's own scheme, and the zero value's: one queue per delay, exact to 100 ms up to 5 s.
	DelaysOwn Delays = "taskq"
	// DelaysCelery is that of Celery 5.5 and newer with quorum queues: 28 queues whose delays are added up. Declare binds the queues of
	// exchanges that are not direct to it, as Celery's worker does, so that what Python delays arrives; and PublishDelayed puts what
	// goes to such an exchange there. All else goes DelaysOwn's way: Celery's knows neither queues nor direct exchanges, and whole
	// seconds only.
	DelaysCelery Delays = "celery"
)

// Celery's topology (kombu/transport/native_delayed_delivery.py).
const (
	celeryLevels   = 28
	celeryPrefix   = "celery_delayed_"
	celeryDelivery = "celery_delayed_delivery"
	// celeryLongest is what 28 bits of seconds can say, and celeryKey how many bytes they take in front of a routing key.
	celeryLongest = 1<<celeryLevels - 1
	celeryKey     = 2 * celeryLevels
)

func celeryLevel(n int) string { return celeryPrefix + strconv.Itoa(n) }

// CeleryDelays returns the topology of Celery's native delayed delivery. A message enters with the delay in binary, a word per bit, in
// front of its routing key. In level n it waits for 2^n seconds when its bit is set, and passes when it is not.
func CeleryDelays() broker.Topology {
	t := broker.Topology{Exchanges: []broker.Exchange{{Name: celeryDelivery, Kind: broker.Topic}}}
	for n := celeryLevels - 1; n >= 0; n-- {
		level, next := celeryLevel(n), celeryDelivery
		if n > 0 {
			next = celeryLevel(n - 1)
		}
		before := strings.Repeat("*.", celeryLevels-1-n)
		t.Exchanges = append(t.Exchanges, broker.Exchange{Name: level, Kind: broker.Topic})
		t.Queues = append(t.Queues, broker.Queue{Name: level, Type: broker.Quorum, Arguments: broker.Table{
			broker.ArgMessageTTL:         int64(1000) << n,
			broker.ArgDeadLetterExchange: next,
			"x-dead-letter-strategy":     "at-least-once",
			"x-overflow":                 "reject-publish",
		}})
		t.Bindings = append(t.Bindings, broker.Binding{Exchange: level, Queue: level, Key: before + "1.#"})
		t.Links = append(t.Links, broker.Link{Source: level, Destination: next, Key: before + "0.#"})
	}
	return t
}

// BindCeleryDelays returns what lets messages out of Celery's native delayed delivery into the queues of the topology: for each
// binding to an exchange that is not direct, the exchange is linked to celery_delayed_delivery, and the queue is bound to it once more,
// for the routing keys that messages have there. The result is empty when there is none.
func BindCeleryDelays(t broker.Topology) broker.Topology {
	kinds := map[string]broker.ExchangeKind{}
	for _, x := range t.Exchanges {
		kinds[x.Name] = x.Kind
	}
	var out broker.Topology
	for _, bind := range t.Bindings {
		if kind, known := kinds[bind.Exchange]; !known || kind == broker.Direct {
			continue
		}
		if !strings.HasPrefix(bind.Key, "#") {
			bind.Key = "#." + bind.Key
		}
		out.Links = append(out.Links, broker.Link{Source: celeryDelivery, Destination: bind.Exchange, Key: bind.Key})
		out.Bindings = append(out.Bindings, bind)
	}
	return out
}

// expectCelerys binds what was just declared to Celery's native delayed delivery.
func (b *Broker) expectCelerys(ctx context.Context, t broker.Topology) error {
	bindings := BindCeleryDelays(t)
	if b.cfg.Delays != DelaysCelery || t.Passive || bindings.IsEmpty() {
		return nil
	}
	if err := b.declareOnce(ctx, celeryDelivery, CeleryDelays()); err != nil {
		return err
	}
	vhost := b.endpoints[0].vhost
	err := b.request(ctx, b.requests(), func(ch *amqp091.Channel) error { return declareOn(ch, bindings, vhost) })
	if err != nil {
		return fmt.Errorf("amqp: bind to %s: %w", celeryDelivery, err)
	}
	b.topology.remember(broker.Topology{Bindings: bindings.Bindings})
	return nil
}

// celeryTakes reports whether a message goes through Celery's native delayed delivery.
func (b *Broker) celeryTakes(ctx context.Context, to broker.Address, delay time.Duration) (bool, error) {
	if b.cfg.Delays != DelaysCelery || to.Exchange == "" || to.RoutingKey == "" || delay < time.Second {
		return false, nil
	}
	kind, err := b.kindOf(ctx, to.Exchange)
	if err != nil {
		return false, err
	}
	return kind != broker.Direct, nil
}

// parkWithCelery publishes to the level of the delay's highest bit. Celery itself begins at the highest level of all, which leads there
// in twenty steps.
func (b *Broker) parkWithCelery(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if longest := record.MaxShort - celeryKey; len(to.RoutingKey) > longest {
		return invalid("routing key", fmt.Sprintf("it has %d bytes; Celery's native delayed delivery puts the delay in front of it, "+
			"which leaves %d: use a shorter one, or delays=%s", len(to.RoutingKey), longest, DelaysOwn))
	}
	seconds := min(uint32(min(delay/time.Second, celeryLongest)), celeryLongest)
	level := celeryLevel(bits.Len32(seconds) - 1)
	to = broker.Address{Exchange: level, RoutingKey: celeryRoute(seconds, to.RoutingKey), FailFast: to.FailFast}
	err := b.publishInto(ctx, to, msg, celeryDelivery, CeleryDelays())
	if !b.cfg.Declare.Creates() && errors.Is(err, broker.ErrUnroutable) {
		return fmt.Errorf("amqp: delay message: Celery's %s is missing and declare is %s: start a worker that makes it: %w", level, b.cfg.Declare, err)
	}
	return err
}

// celeryRoute writes the seconds in binary, a word per bit, in front of the key.
func celeryRoute(seconds uint32, key string) string {
	route := make([]byte, 0, celeryKey+len(key))
	for n := celeryLevels - 1; n >= 0; n-- {
		route = append(route, '0'+byte(seconds>>n&1), '.')
	}
	return string(append(route, key...))
}

// kindOf returns the kind of an exchange that exists. AMQP tells it only by refusing to declare it as another one: then the reply names
// the kind, or, when that is the same, something else that differs.
func (b *Broker) kindOf(ctx context.Context, exchange string) (broker.ExchangeKind, error) {
	if kind, known := b.parking.kind(exchange); known {
		return kind, nil
	}
	kind := b.topology.exchange(exchange).Kind
	if kind == "" {
		vhost := b.endpoints[0].vhost
		ask := broker.Topology{Exchanges: []broker.Exchange{{Name: exchange, Kind: broker.Topic}}}
		err := b.request(ctx, b.requests(), func(ch *amqp091.Channel) error { return declareOn(ch, ask, vhost) })
		clash, differs := errors.AsType[*broker.DeclareError](err)
		switch {
		case differs && clash.Argument == "type":
			kind = broker.ExchangeKind(clash.Existing)
		case errors.Is(err, broker.ErrAccess):
			kind = broker.Direct // it cannot be asked for: our own scheme is right for any
		case err != nil && !differs:
			return "", fmt.Errorf("amqp: delay message for exchange %q: %w", exchange, err)
		default:
			kind = broker.Topic
		}
	}
	b.parking.setKind(exchange, kind)
	return kind, nil
}

func (p *parking) kind(exchange string) (broker.ExchangeKind, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind, known := p.kinds[exchange]
	return kind, known
}

func (p *parking) setKind(exchange string, kind broker.ExchangeKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kinds == nil {
		p.kinds = map[string]broker.ExchangeKind{}
	}
	p.kinds[exchange] = kind
}
