package amqp

import (
	"errors"
	"sync/atomic"
	"time"
)

// Stats counts what happened to a Broker since Open.
type Stats struct {
	Sessions uint64 // connections made
	Lost     uint64 // connections lost
	Streams  uint64 // consuming channels opened
	Apart    uint64 // of these, opened because deliveries that are out for long were left on the one before
	Idle     uint64 // of these, opened because nobody took what was sent on the one before
	Silent   uint64 // consumers replaced because nothing came while messages waited
	Acked    uint64 // deliveries acknowledged
	Acks     uint64 // acknowledgements written for them; one may stand for several
	Stale    uint64 // deliveries whose settling came too late: their channel was gone, and the broker hands them out again
	Returned uint64 // published messages that no queue took
	Repeated uint64 // messages published again because nobody knows what became of them
}

type counts struct {
	sessions, lost, streams, apart, idle, silent, acked, acks, stale, returned, repeated atomic.Uint64
}

// Stats returns what was counted.
func (b *Broker) Stats() Stats {
	c := &b.counts
	return Stats{
		Sessions: c.sessions.Load(), Lost: c.lost.Load(),
		Streams: c.streams.Load(), Apart: c.apart.Load(), Idle: c.idle.Load(), Silent: c.silent.Load(),
		Acked: c.acked.Load(), Acks: c.acks.Load(), Stale: c.stale.Load(),
		Returned: c.returned.Load(), Repeated: c.repeated.Load(),
	}
}

// left counts a stream that was left open for what is out.
func (c *counts) left(why error) {
	if errors.Is(why, errIdle) {
		c.idle.Add(1)
		return
	}
	c.apart.Add(1)
}

// DeliveryTimeout implements broker.Impatient with Config.DeliveryTimeout.
func (b *Broker) DeliveryTimeout() time.Duration { return b.cfg.DeliveryTimeout }
