package amqp_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func awaitsItsPassword(t *testing.T, n *tenant) {
	cfg := n.config()
	cfg.AccessPause = 400 * time.Millisecond
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "before")
	ack(t, next(t, c))
	other := rand.Text()
	n.eval(`rabbit_auth_backend_internal:change_password(%[1]q, <<%[2]q>>, <<"test">>)`, other)
	n.proxy.Cut()
	n.log.await(4, "level=ERROR", "Cannot connect to broker", "ACCESS_REFUSED for user '"+n.name, "retry_in=") // two connections, twice
	for line := range strings.Lines(n.log.String()) {
		pause := regexp.MustCompile(`Cannot connect.*retry_in=(\S+)`).FindStringSubmatch(line)
		if pause == nil {
			continue
		}
		if d, err := time.ParseDuration(pause[1]); err != nil || d < cfg.AccessPause {
			t.Errorf("retry after %s, want at least %v", pause[1], cfg.AccessPause)
		}
	}
	err := b.Publish(timeout(t, 50*time.Millisecond), broker.Address{RoutingKey: queue}, broker.Message{})
	if !errors.Is(err, broker.ErrAccess) || !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("publish meanwhile = %v, want one that wraps %v and %v", err, broker.ErrAccess, broker.ErrUnavailable)
	}
	if strings.Contains(err.Error(), n.password) {
		t.Error("the error shows the password")
	}
	n.eval(`rabbit_auth_backend_internal:change_password(%[1]q, <<%[2]q>>, <<"test">>)`, n.password)
	publish(t, b, queue, "after")
	if d := next(t, c); string(d.Body) != "after" {
		t.Errorf("body = %q, want after", d.Body)
	}
	n.log.hides(n.password)
	n.log.hides(other)
}

func awaitsItsVhost(t *testing.T, n *tenant) {
	cfg := n.config()
	cfg.AccessPause = 50 * time.Millisecond
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "lost with the vhost")
	n.eval(`rabbit_vhost:delete(%[1]q, <<"test">>)`)
	n.log.await(2, "level=ERROR", "Cannot connect to broker", "vhost "+n.name+" not found", "retry_in=")
	n.addVhost()
	eventually(t, "the consumer has declared its queue again", func() bool {
		return b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("after")}) == nil
	})
	for string(next(t, c).Body) != "after" {
	}
	n.log.hides(n.password)
}

func namesTheConnectionLimit(t *testing.T, n *tenant) {
	n.eval(`rabbit_vhost_limit:set(%[1]q, [{<<"max-connections">>, 1}], <<"test">>)`)
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	_, err := b.Consume(timeout(t, 300*time.Millisecond), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1})
	if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "connection limit (1) is reached") {
		t.Errorf("consume over a second connection = %v, want ErrUnavailable that names the limit", err)
	}
	n.log.await(2, "level=WARN", "Cannot connect to broker", "connection limit (1) is reached")
	n.eval(`rabbit_vhost_limit:set(%[1]q, [], <<"test">>)`)
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "m")
	ack(t, next(t, c))
}
