package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// TestServer has everything that befalls connections to one server: while nothing else runs, then each in a vhost of its own, then
// what befalls all of the server, one after the other.
func TestServer(t *testing.T) {
	server := testserver.StartRabbitMQWithCertificates(t)
	t.Run("a thousand reconnects leave nothing behind", func(t *testing.T) { leavesNothingBehind(t, newTenant(t, server)) })
	t.Parallel()
	t.Run("a connection", func(t *testing.T) {
		t.Run("with TLS", func(t *testing.T) {
			t.Parallel()
			speaksTLS(t, server)
		})
		for claim, test := range tenantTests() {
			t.Run(claim, func(t *testing.T) {
				t.Parallel()
				test(t, newTenant(t, server))
			})
		}
	})
	for _, c := range serverTests() {
		t.Run(c.claim, func(t *testing.T) { c.test(t, newTenant(t, server)) })
	}
}

func tenantTests() map[string]func(*testing.T, *tenant) {
	return map[string]func(*testing.T, *tenant){
		"stale deliveries never reach the wire":                          keepsStaleDeliveriesOffTheWire,
		"an unknown tag costs a channel and not the consumer":            survivesUnknownTag,
		"a queue that others declared differently meanwhile is consumed": consumesWhatOthersDeclared,
		"permissions may be taken away and given back":                   awaitsPermission,
		"a queue that is locked is consumed once it is free":             awaitsLockedQueue,
		"publishing to a deleted exchange disturbs no queue":             outlivesItsExchange,
		"a changed password is asked for loudly and patiently":           awaitsItsPassword,
		"a vhost may be deleted and made again":                          awaitsItsVhost,
		"the limit of connections is named":                              namesTheConnectionLimit,
		"silence of the server is noticed":                               noticesStall(instance.ToClient),
		"silence of our own side is noticed":                             noticesStall(instance.ToServer),
		"silence of both sides is noticed":                               noticesStall(),
		"work goes on between cuts":                                      makesProgressWhileFlapping,
		"of several hosts the living one is found":                       findsTheLivingHost,
	}
}

type serverTest struct {
	claim string
	test  func(*testing.T, *tenant)
}

func serverTests() []serverTest {
	return []serverTest{
		{"an overdue delivery costs its own queue a channel and nobody else's", losesOnlyTheOverdueQueue},
		{"the limit of channels is named", namesTheChannelLimit},
		{"close ends in time during an alarm", closesDuringAlarm},
		{"a short pause of the server goes unnoticed", outlivesShortPause},
		{"a long pause of the server costs one session", replacesSessionOnce},
		{"an alarm makes publishers wait and consumers go on", publishesAfterAlarm},
		{"a killed server loses nothing that was confirmed", losesNothingConfirmed},
		{"when a server dies under load the next one is used", failsOver},
	}
}

func losesNothingConfirmed(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	const messages = 300
	var wg sync.WaitGroup
	started := make(chan struct{}, messages)
	for n := range messages {
		wg.Go(func() {
			started <- struct{}{}
			err := b.Publish(timeout(t, 2*time.Minute), broker.Address{RoutingKey: queue}, broker.Message{Body: fmt.Append(nil, n)})
			if err != nil {
				t.Errorf("publish %d: %v", n, err)
			}
		})
	}
	<-started
	n.server.Kill()
	n.server.Start()
	wg.Wait()
	c := consume(t, b, 50, queue)
	got := map[string]bool{}
	for len(got) < messages { // some may come twice
		d := next(t, c)
		got[string(d.Body)] = true
		ack(t, d)
	}
}

func publishesAfterAlarm(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "before")
	publish(t, b, queue, "also before")
	c := consume(t, b, 1, queue)
	d := next(t, c)
	n.server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
	for { // the broker says that it blocks once something was published
		ctx := timeout(t, 200*time.Millisecond)
		err := b.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("during")})
		if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("publish during the alarm = %v, want ErrUnavailable and the context's error", err)
		}
		if strings.Contains(err.Error(), "alarm") {
			break
		}
	}
	waits := make(chan error, 1)
	go func() {
		waits <- b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("after")})
	}()
	ack(t, d)
	ack(t, next(t, c)) // consuming has a connection of its own
	n.server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
	if err := <-waits; err != nil {
		t.Errorf("publish that waited for the end of the alarm: %v", err)
	}
	for { // the broker took those whose publishers had gone as well
		d := next(t, c)
		ack(t, d)
		if string(d.Body) == "after" {
			break
		}
	}
}
