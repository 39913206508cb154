package amqp_test

import (
	"cmp"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// send publishes one message with py-amqp; the headers are a Python expression.
const send = `
import amqp, sys
host, user, password, vhost, queue, headers = sys.argv[1:]
def nested(n): return {"k": nested(n - 1)} if n else 1
with amqp.Connection(host, userid=user, password=password, virtual_host=vhost) as c:
    c.channel().basic_publish(amqp.Message(b"[]", content_type="application/json", application_headers=eval(headers)),
                              exchange="", routing_key=queue)
`

func TestHeadersThatOnlyPythonWritesDoNotEndTheConnection(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(testserver.AMQP(t))
	if err != nil {
		t.Fatal("bad URL of the test server")
	}
	password, _ := server.User.Password()
	vhost := server.Path
	if len(vhost) > 1 {
		vhost = vhost[1:]
	}
	python := testserver.NewPython(t, testserver.PythonConfig{})
	proxy := testserver.StartProxy(t, server.String())
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	connections := proxy.Connections()
	for headers, check := range map[string]func(broker.Table) bool{
		`{"ms": 1763960000000, "neg": -2**40, "in": [{"id": 2**62}]}`: func(h broker.Table) bool {
			list, _ := h["in"].([]any)
			return h["ms"] == int64(1763960000000) && h["neg"] == int64(-1<<40) && len(list) == 1 &&
				list[0].(broker.Table)["id"] == int64(1<<62)
		},
		`nested(40)`:                                unreadable,
		`{str(n): None for n in range(9000)}`:       unreadable,
		`{"deep": nested(30), "t": True, "f": 1.5}`: func(h broker.Table) bool { return h["t"] == true && h["f"] == 1.5 },
	} {
		python.Run(send, server.Host, server.User.Username(), password, vhost, queue, headers)
		d := next(t, c)
		if !check(d.Headers) || string(d.Body) != "[]" || d.Redelivered {
			t.Errorf("%s: headers = %.300v, body = %q, redelivered = %v", headers, d.Headers, d.Body, d.Redelivered)
		}
		ack(t, d)
	}
	if got := proxy.Connections(); got != connections {
		t.Errorf("%d connections, want the %d from before", got, connections)
	}
}

func unreadable(h broker.Table) bool { return len(h) == 1 && h[amqp.HeaderUnreadable] != nil }

// receive takes messages with py-amqp and prints their priorities.
const receive = `
import amqp, sys
host, user, password, vhost, queue = sys.argv[1:]
with amqp.Connection(host, userid=user, password=password, virtual_host=vhost) as c:
    channel = c.channel()
    while message := channel.basic_get(queue, no_ack=True):
        print(message.properties.get("priority"), len(message.body), message.properties.get("correlation_id"))
`

func TestPythonSeesThePriorityThatCelerySends(t *testing.T) {
	t.Parallel()
	server := parse(t, testserver.AMQP(t))
	b := open(t, config(t, server.String()))
	queue := declared(t, b, broker.Queue{})
	for _, msg := range []broker.Message{
		{Body: []byte("[]"), ContentType: "application/json", Headers: broker.Table{"a": "b"}},
		{Body: make([]byte, 300_000), CorrelationID: "id"},
		{Priority: 7},
	} {
		if err := b.Publish(t.Context(), broker.Address{RoutingKey: queue}, msg); err != nil {
			t.Fatal(err)
		}
	}
	python := testserver.NewPython(t, testserver.PythonConfig{})
	password, _ := server.User.Password()
	vhost := cmp.Or(strings.TrimPrefix(server.Path, "/"), "/")
	got := python.Run(receive, server.Host, server.User.Username(), password, vhost, queue)
	if want := "0 2 None\n0 300000 id\n7 0 None\n"; got != want {
		t.Errorf("Python received\n%s, want\n%s", got, want)
	}
}
