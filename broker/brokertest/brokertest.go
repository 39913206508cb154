// Package brokertest is the suite that every broker passes.
//
// An adapter's test calls Run with a Harness. The suite declares names of its own and deletes them afterwards, so that it may run
// against a broker that others use, and knows nothing of the adapter but the interfaces of package broker.
package brokertest

import (
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

// Harness is the broker under test.
type Harness struct {
	// Open returns a fresh connection to the one broker under test; all of them see the same queues. The suite closes it.
	Open func(t *testing.T) broker.Broker
	// Restart makes every open connection lose its session: the broker is stopped and started, or its connections are cut. It
	// returns once the broker can be reached again; durable queues and persistent messages survive. Nil leaves those claims out,
	// for brokers that have no session to lose.
	Restart func(t *testing.T)
}

// claim is one test: a name that says what holds, and the function that tries it.
type claim struct {
	name string
	try  func(*fixture)
}

// Run tries every claim against the broker. It takes a few seconds.
func Run(t *testing.T, h Harness) {
	t.Run("Any", func(t *testing.T) {
		for _, claims := range [][]claim{
			declareClaims(), publishClaims(), messageClaims(), consumeClaims(), prefetchClaims(), settleClaims(),
			expiryClaims(), depthClaims(), closeClaims(), delayClaims(), concurrencyClaims(), batchClaims(), exchangeDelayClaims(), headersClaims(),
		} {
			for _, c := range claims {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.try(newFixture(t, h))
				})
			}
		}
	})
	// not parallel: on RabbitMQ, to look at what is parked holds it up for a moment
	for _, c := range parkingClaims() {
		t.Run(c.name, func(t *testing.T) { c.try(newFixture(t, h)) })
	}
	if h.Restart == nil {
		return
	}
	// not parallel: a restart is everybody's
	for _, c := range restartClaims() {
		t.Run(c.name, func(t *testing.T) { c.try(newFixture(t, h)) })
	}
}
