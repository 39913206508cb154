package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// Scene is where a case plays: the broker, two proxies before it, the workers and the load. Its methods break things.
type Scene struct {
	Case    Case
	rng     *rand.Rand
	log     *slog.Logger
	world   *World
	nodes   []*instance.RabbitMQ
	dir     string
	logFile *os.File
	queue   string
	// The proxies: to the broker for the sender and for the workers, nil with a cluster; to the database, nil with a file.
	senders, consumers, store *instance.Proxy

	results  *instance.Proxy // to the result store of the workers; nil: none
	settling time.Duration   // how long an acknowledgement may be on its way when it waits for a slow store; 0: ackDelay
	sending  string          // the sender's result store; "": none

	worker  WorkerConfig // what the next worker is told
	workers []*process
	old     []*process // that were killed
	sender  *Sender

	windows []Window
	removed int
	poison  []string
}

// node is the only one, or the first of a cluster.
func (s *Scene) node() *instance.RabbitMQ { return s.nodes[0] }

// fault is one thing that breaks and is mended.
type fault struct {
	name   string
	inject func(context.Context) error
	hold   time.Duration
	heal   func(context.Context) error // nil: nothing to mend
	// before is how long before the fault a task may have been done whose acknowledgement the fault destroys; 0: ackDelay.
	before time.Duration
	// forgets is set when the broker forgets acknowledgements that it had: as many messages as were run then may come again.
	forgets bool
	// moves is set when the broker dies.
	moves bool
	// harmless faults let nothing be done twice.
	harmless bool
	// besides is how many messages it may interrupt that no slot has: those that are being moved.
	besides int
	// repeats is how often the fault may interrupt one message; 0: once.
	repeats int
}

// sparing makes a fault one that lets nothing be done twice.
func sparing(f fault) fault {
	f.harmless = true
	return f
}

const (
	// ackDelay is how long an acknowledgement may be on its way.
	ackDelay = 250 * time.Millisecond
	// notice is how long after a fault work may begin on a delivery of before: it is in the worker's hands already.
	notice = 250 * time.Millisecond
)

// strike breaks something, waits, mends it, and notes when.
func (s *Scene) strike(ctx context.Context, f fault) error {
	w := Window{Fault: f.name, Begin: time.Now(), Before: max(f.before, ackDelay, s.settling), After: notice}
	w.Harmless, w.Repeats, w.Moves = f.harmless, f.repeats, f.moves
	if !f.forgets && (!f.moves || f.besides > 0 || !s.Case.Load.waits()) {
		w.Limit = (s.inHand() + f.besides) * max(1, f.repeats)
	}
	s.log.InfoContext(ctx, "fault", "name", f.name, "hold", f.hold)
	if err := f.inject(ctx); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if err := pause(ctx, f.hold); err != nil {
		return err
	}
	if f.heal != nil {
		if err := f.heal(ctx); err != nil {
			return fmt.Errorf("heal %s: %w", f.name, err)
		}
	}
	w.End = time.Now()
	s.windows = append(s.windows, w)
	s.log.InfoContext(ctx, "healed", "name", f.name)
	return nil
}

// draw is a duration between the two, by the seed.
func (s *Scene) draw(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rng.Int64N(int64(to-from)+1))
}

// inHand is how many messages the workers may hold and the sender may wait for: two for each slot, one for each call.
func (s *Scene) inHand() int {
	const prefetched = 2 // worker.Options.PrefetchMultiplier
	return s.Case.workers()*(s.worker.Concurrency*prefetched+s.Case.Held) + s.Case.Load.withDefaults().Senders
}

// times strikes n times, each time once work goes on again and after a calm of half a second to a second.
func (s *Scene) times(ctx context.Context, n int, next func() fault) error {
	for range n {
		s.recovered(ctx)
		if err := pause(ctx, s.draw(500*time.Millisecond, time.Second)); err != nil {
			return err
		}
		if err := s.strike(ctx, next()); err != nil {
			return err
		}
	}
	return nil
}

// startWorkers starts more workers.
func (s *Scene) startWorkers(n int) error {
	for range n {
		cfg := s.worker
		cfg.Name = fmt.Sprintf("worker%d", len(s.workers)+len(s.old)+1)
		if s.Case.OneName {
			cfg.Name = "worker"
		}
		cfg.BrokerURL = s.address(s.consumers)
		cfg.DeliveryTimeout = s.Case.DeliveryTimeout
		p, err := startWorker(cfg)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, p)
	}
	return nil
}

// replace notes that a worker is gone and starts another.
func (s *Scene) replace(i int) error {
	s.old = append(s.old, s.workers[i])
	s.workers = slices.Delete(s.workers, i, i+1)
	return s.startWorkers(1)
}

// address is the broker's, through a proxy if there is one; of a cluster all nodes', another one first each time.
func (s *Scene) address(proxy *instance.Proxy) string {
	var urls []string
	if proxy != nil {
		urls = append(s.deadHosts(), proxy.URL)
	} else {
		first := s.rng.IntN(len(s.nodes))
		for i := range s.nodes {
			urls = append(urls, s.nodes[(first+i)%len(s.nodes)].URL())
		}
	}
	if s.Case.Heartbeat > 0 {
		for i := range urls {
			urls[i] += "?" + url.Values{"heartbeat": {fmt.Sprint(int(s.Case.Heartbeat.Seconds()))}}.Encode()
		}
	}
	return strings.Join(urls, ";")
}

// deadHosts are addresses of which one refuses connections.
func (s *Scene) deadHosts() []string {
	if !s.Case.DeadHosts {
		return nil
	}
	return []string{"amqp://nobody:nothing@127.0.0.1:1/", "amqp://nobody:nothing@host.invalid:5672/"}
}

// until waits for a condition, asking again and again.
func until(ctx context.Context, within time.Duration, what string, ask func() (bool, error)) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error
	for {
		ok, err := ask()
		if err == nil && ok {
			return nil
		}
		if err != nil {
			last = err
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			if caller.Err() != nil {
				return fmt.Errorf("%s: %w", what, context.Cause(caller))
			}
			if last != nil {
				return fmt.Errorf("%s: not within %s: %w", what, within, last)
			}
			return fmt.Errorf("%s: not within %s", what, within)
		}
	}
}
