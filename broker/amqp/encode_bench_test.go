package amqp

import (
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

func BenchmarkEncode(b *testing.B) {
	const id = "5f0cdd5b-4c1f-4c2e-9df2-7f9d1f5b3b1c"
	msg := broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", CorrelationID: id, ReplyTo: id, Body: make([]byte, 100),
		Headers: broker.Table{
			"lang": "py", "task": "tasks.add", "id": id, "shadow": nil, "eta": nil, "expires": nil, "group": nil, "group_index": nil,
			"retries": int32(0), "timelimit": []any{nil, nil}, "root_id": id, "parent_id": nil, "argsrepr": "()",
			"kwargsrepr": "{'x': 1, 'y': 2}", "origin": "gen1234@host.example", "ignore_result": false,
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(broker.Address{RoutingKey: "celery"}, msg, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
