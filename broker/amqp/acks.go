package amqp

// acks decides which acknowledgements of one channel are written, and when several become one. The broker numbers the deliveries of
// a channel 1, 2, 3, …; an acknowledgement with "multiple" settles everything up to its tag. It is used only up to floor, below which
// nothing is unfinished; what is acknowledged above is written one by one. The zero value is ready to use.
type acks struct {
	floor  uint64   // every tag up to here is settled
	above  tags     // settled tags beyond floor
	late   tags     // of these, the ones whose acknowledgement is not written yet
	low    uint64   // the highest tag up to floor whose acknowledgement is not written yet
	lows   int      // how many of these there are
	singly []uint64 // tags that were beyond floor when they were acknowledged, since the last plan
	unsent int      // acknowledgements that are not written yet
}

// ack is one acknowledgement to write.
type ack struct {
	tag      uint64
	multiple bool
}

// settle notes that the tag is settled: by an acknowledgement that is still to be written, or otherwise.
func (a *acks) settle(tag uint64, acknowledged bool) {
	a.above.add(tag)
	if acknowledged {
		a.late.add(tag)
		a.unsent++
	}
	if tag != a.floor+1 {
		if acknowledged {
			a.singly = append(a.singly, tag)
		}
		return
	}
	for a.above.has(a.floor + 1) {
		a.floor++
		if a.late.has(a.floor) {
			a.low = a.floor
			a.lows++
		}
	}
	a.above.forget(a.floor + 1)
	a.late.forget(a.floor + 1)
}

// plan appends what is to be written now to out, in the order in which it must be written, and takes it as written.
func (a *acks) plan(out []ack) []ack {
	if a.lows > 0 {
		out = append(out, ack{a.low, a.lows > 1})
	}
	for _, tag := range a.singly {
		if tag > a.floor {
			out = append(out, ack{tag: tag})
			a.late.remove(tag)
		}
	}
	a.lows, a.singly, a.unsent = 0, a.singly[:0], 0
	return out
}
