package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// startWait bounds the start of a broker on a busy machine.
const startWait = 90 * time.Second

// The faults of a worker's process.

// killWorker kills one with what it runs, and starts another.
func (s *Scene) killWorker() fault {
	i := s.rng.IntN(len(s.workers))
	return fault{
		name:   "SIGKILL of a worker",
		inject: func(context.Context) error { return s.workers[i].kill() },
		heal:   func(context.Context) error { return s.replace(i) },
	}
}

// freezeWorker stops one where it is.
func (s *Scene) freezeWorker(hold time.Duration) fault {
	p := s.workers[s.rng.IntN(len(s.workers))]
	return fault{
		name:   "SIGSTOP of a worker",
		inject: func(context.Context) error { return p.freeze() },
		hold:   hold,
		heal:   func(context.Context) error { return p.thaw() },
	}
}

// stopWorker ends one in good order and starts another; nothing may be done twice.
func (s *Scene) stopWorker(ctx context.Context) error {
	i := s.rng.IntN(len(s.workers))
	if err := s.workers[i].stop(ctx, 15*time.Second); err != nil {
		return err
	}
	return s.replace(i)
}

// The faults of a broker.

// memory is how far back the broker may forget acknowledgements when it is killed: a classic queue buffers them, a quorum queue has
// them on disk first.
func (s *Scene) memory() time.Duration {
	if s.worker.QueueType == broker.Quorum {
		return 0
	}
	return time.Second
}

// killNode kills a node and starts it again after a while.
func (s *Scene) killNode(n int, down time.Duration) fault {
	node := s.nodes[n]
	return fault{
		name: "kill -9 of the broker", before: s.memory(), forgets: s.memory() > 0, moves: true,
		inject: func(ctx context.Context) error {
			// RabbitMQ 3.10 notes new quorum queues some seconds late, and one that is not noted begins anew, empty.
			if _, err := node.Eval(ctx, "[dets:sync(Table) || Table <- dets:all()]"); err != nil {
				return err
			}
			return node.Kill()
		},
		hold: down,
		heal: func(ctx context.Context) error { return start(ctx, node) },
	}
}

// stopNode stops a node in good order and starts it again after a while.
func (s *Scene) stopNode(n int, down time.Duration) fault {
	node := s.nodes[n]
	return fault{
		name: "stop of the broker", moves: true,
		inject: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, startWait)
			defer cancel()
			return node.Stop(ctx)
		},
		hold: down,
		heal: func(ctx context.Context) error { return start(ctx, node) },
	}
}

func start(ctx context.Context, node *instance.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	return node.Start(ctx)
}

// freezeNode stops the broker's process where it is.
func (s *Scene) freezeNode(hold time.Duration) fault {
	return fault{
		name:   "SIGSTOP of the broker",
		inject: func(context.Context) error { return s.node().Pause() },
		hold:   hold,
		heal:   func(context.Context) error { return s.node().Continue() },
	}
}

// eval is a fault made of two Erlang expressions on the first node; the second may be empty.
func (s *Scene) eval(name, inject string, hold time.Duration, heal string) fault {
	f := fault{name: name, hold: hold, inject: func(ctx context.Context) error {
		_, err := s.node().Eval(ctx, inject)
		return err
	}}
	if heal != "" {
		f.heal = func(ctx context.Context) error {
			_, err := s.node().Eval(ctx, heal)
			return err
		}
	}
	return f
}

// closeConnections closes them one after the other; what one worker loses the next one may get and lose.
func (s *Scene) closeConnections() fault {
	f := s.eval("connections closed by the operator",
		`[rabbit_networking:close_connection(P, "closed by the operator") || P <- rabbit_networking:connections()], ok`, 0, "")
	f.repeats = len(s.workers)
	return f
}

func (s *Scene) alarm(resource string, hold time.Duration) fault {
	return s.eval(resource+" alarm",
		fmt.Sprintf("rabbit_alarm:set_alarm({{resource_limit, %s, node()}, []})", resource), hold,
		fmt.Sprintf("rabbit_alarm:clear_alarm({resource_limit, %s, node()})", resource))
}

// forbid takes all permissions away and closes the connections, since channels remember what they were allowed.
func (s *Scene) forbid(hold time.Duration) fault {
	const set = `rabbit_auth_backend_internal:set_permissions(<<"taskq">>, <<"/">>, <<"%[1]s">>, <<"%[1]s">>, <<"%[1]s">>, <<"chaos">>)`
	return s.eval("no permissions",
		fmt.Sprintf(set, "^$")+`, [rabbit_networking:close_connection(P, "permissions changed") || P <- rabbit_networking:connections()], ok`,
		hold, fmt.Sprintf(set, ".*"))
}

// removeQueue deletes or purges the queue. What was in it is counted, with what the workers may hold: they need not have begun it.
func (s *Scene) removeQueue(how string) fault {
	call := `rabbit_amqqueue:purge(Q)`
	if how == "deletion" {
		call = `rabbit_amqqueue:delete(Q, false, false, <<"chaos">>)`
	}
	return fault{name: how + " of the queue", inject: func(ctx context.Context) error {
		text, err := s.node().Eval(ctx, s.lookup()+", {ok, N} = "+call+", N")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(text)
		s.removed += n
		if how == "deletion" {
			s.removed += s.inHand() // which its answer does not count
		}
		return err
	}}
}

// lookup is the beginning of an Erlang expression that calls the queue Q.
func (s *Scene) lookup() string {
	return fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>))`, s.queue)
}

// home is the node that has the queue, or leads it.
func (s *Scene) home(ctx context.Context) (int, error) {
	name, err := s.node().Eval(ctx, s.lookup()+", amqqueue:qnode(Q)")
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(s.nodes, func(n *instance.RabbitMQ) bool { return n.Node() == strings.Trim(name, "'") })
	if i < 0 {
		return 0, fmt.Errorf("chaos: the queue is at the unknown node %s", name)
	}
	return i, nil
}

// impatient lets the broker close channels whose deliveries stay unacknowledged for two seconds; it reads that when a channel is opened.
func (s *Scene) impatient(hold time.Duration) fault {
	const set = `application:set_env(rabbit, consumer_timeout, %d), application:set_env(rabbit, channel_tick_interval, %d), ` +
		`[rabbit_networking:close_connection(P, "consumer timeout changed") || P <- rabbit_networking:connections()], ok`
	f := s.eval("consumer timeout of 2 s", fmt.Sprintf(set, 2000, 500), hold, fmt.Sprintf(set, 1_800_000, 60_000))
	// The connections are closed one after the other, at the beginning and at the end: a message may go from one to the next.
	f.repeats = int(hold/(2*time.Second)) + 2*s.Case.workers()
	return f
}

// full has the broker refuse messages once ten wait in the queue. That it refuses is said before the length: a queue that is told both
// at once first drops what is too many. And that there is room again is said before the policy goes: a quorum queue without a limit never tells those
// whom it has refused that it takes messages again.
func (s *Scene) full(hold time.Duration) fault {
	const set = `rabbit_policy:set(<<"/">>, <<"full">>, <<"^%s$">>, [{<<"max-length">>, %d}, {<<"overflow">>, <<"reject-publish">>}], 1, <<"queues">>, <<"chaos">>)`
	return sparing(s.eval("a full queue that refuses messages",
		fmt.Sprintf(set, s.queue, 1_000_000)+", timer:sleep(500), "+fmt.Sprintf(set, s.queue, 10),
		hold, fmt.Sprintf(set, s.queue, 1_000_000)+`, timer:sleep(500), rabbit_policy:delete(<<"/">>, <<"full">>, <<"chaos">>)`))
}

// The faults of the database.

func (s *Scene) killDatabase(down time.Duration) fault {
	return fault{
		name:   "PostgreSQL killed",
		inject: func(context.Context) error { return s.world.postgres.Kill() },
		hold:   down,
		heal: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, startWait)
			defer cancel()
			return s.world.postgres.Start(ctx)
		},
	}
}

func (s *Scene) stallDatabase(hold time.Duration) fault {
	return network("stall of the database", hold, []*instance.Proxy{s.store}, func(p *instance.Proxy) { p.Stall() })
}

func (s *Scene) terminateBackends() fault {
	return fault{name: "PostgreSQL ends all connections", inject: func(ctx context.Context) error {
		_, err := s.world.postgres.TerminateBackends(ctx)
		return err
	}}
}

// The faults of the network. Those who name a proxy hit the sender or the workers; both, with both.

func (s *Scene) proxies() []*instance.Proxy { return []*instance.Proxy{s.senders, s.consumers} }

// network is a fault at proxies that ends with Resume.
func network(name string, hold time.Duration, proxies []*instance.Proxy, inject func(*instance.Proxy)) fault {
	return fault{
		name: name, hold: hold,
		inject: func(context.Context) error {
			for _, p := range proxies {
				inject(p)
			}
			return nil
		},
		heal: func(context.Context) error {
			var errs []error
			for _, p := range proxies {
				errs = append(errs, p.Resume())
			}
			return errors.Join(errs...)
		},
	}
}

func (s *Scene) cut() fault {
	return network("connections reset", 0, s.proxies(), (*instance.Proxy).Cut)
}

func (s *Scene) closeInOrder() fault {
	return network("connections closed in order", 0, s.proxies(), (*instance.Proxy).CloseConnections)
}

func (s *Scene) refuse(hold time.Duration) fault {
	return network("connections refused", hold, s.proxies(), (*instance.Proxy).Refuse)
}

func (s *Scene) stall(hold time.Duration, directions ...instance.Direction) fault {
	return network(fmt.Sprint("stall ", directions), hold, s.proxies(), func(p *instance.Proxy) { p.Stall(directions...) })
}

func (s *Scene) halfClose(d instance.Direction) fault {
	return network("half-close "+d.String(), time.Second, s.proxies(), func(p *instance.Proxy) { p.HalfClose(d) })
}

// truncate ends the connection of the sender or of the workers within the next bytes, drawn to fall anywhere in a frame.
func (s *Scene) truncate(d instance.Direction) fault {
	p := s.proxies()[s.rng.IntN(2)]
	n := s.rng.Int64N(3000)
	return network(fmt.Sprintf("truncation %s after %d bytes", d, n), 500*time.Millisecond, []*instance.Proxy{p}, func(p *instance.Proxy) { p.Truncate(d, n) })
}

func (s *Scene) slow(hold, delay, jitter time.Duration) fault {
	return network(fmt.Sprintf("delay of %s ± %s each way", delay, jitter), hold, s.proxies(), func(p *instance.Proxy) {
		p.Delay(instance.ToServer, delay, jitter)
		p.Delay(instance.ToClient, delay, jitter)
	})
}

func (s *Scene) narrow(hold time.Duration, bytesPerSecond int) fault {
	return network(fmt.Sprintf("%d bytes per second each way", bytesPerSecond), hold, s.proxies(), func(p *instance.Proxy) {
		p.Limit(instance.ToServer, bytesPerSecond)
		p.Limit(instance.ToClient, bytesPerSecond)
	})
}

// blackHole cuts the connections and swallows the new ones.
func (s *Scene) blackHole(hold time.Duration) fault {
	return network("black hole", hold, s.proxies(), func(p *instance.Proxy) {
		p.BlackHole()
		p.Cut()
	})
}
