// Package chaos proves that taskq over RabbitMQ loses nothing. It sends tasks through the public API, runs them in worker processes
// of their own, breaks the broker, the network and the workers meanwhile, and compares what was accepted with what was
// done.
//
// Nobody is believed: the load writes down what was accepted, each worker what it started and what it finished, one line and one
// write for each (Ledger), and the checker (Check) knows nothing but these lines, the rows that were stored and what the broker
// still holds. The faults come from private servers and from a proxy (internal/testserver/instance).
//
// "make chaos" runs every case and writes the table in docs/reliability.md; a short selection runs with the tests.
package chaos
