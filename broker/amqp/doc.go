// Package amqp is the broker that carries production: RabbitMQ, spoken to through amqp091-go.
//
// # Sessions
//
// A session is one TCP connection with everything on it. It is never repaired: whatever ends it (a close frame, the socket, a
// missed heartbeat, a write that does not get through) ends it in one place, and a supervisor (link) builds the next one, for
// ever, with capped and jittered back-off: connection, declared topology, channels, consumers. Consuming and publishing have a
// connection each, opened when first needed, because RabbitMQ stops reading from a connection that publishes during a memory or
// disk alarm, and acknowledgements must not wait behind that.
//
// A delivery remembers the channel it came on. When that is gone the delivery is stale: settling it returns [broker.ErrStale] and
// touches no wire, since on the next channel the same delivery tag means another message.
//
// # Publishing
//
// Each message is confirmed by the broker before Publish returns nil, and mandatory unless the address says Optional. Concurrent
// calls share one channel and pipeline their confirms over a bounded window. When the connection is lost before the confirm, the
// outcome is unknown and the message is published again on the next session: at least once, never silently lost.
//
// # The bytes in between
//
// Between the client library and the socket sits a frame-aware connection: it bounds every write in time, rewrites the one header
// type that py-amqp sends and the library cannot read, and replaces header tables that would make the library close the
// connection, so that no single message can do that (see [HeaderUnreadable]). It takes the deliveries to this package's consumers out,
// because the library spends several times as much on each as the rest of their way here takes. On the way out it puts the contents of
// messages in the place of the empty ones that the library publishes, and writes those that are ready at the same time at once.
//
// The package knows nothing of tasks.
package amqp
