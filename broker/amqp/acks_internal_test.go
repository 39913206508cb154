package amqp

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// channelModel is the broker's side of a channel: what is delivered and not settled, in order. It is as strict as RabbitMQ, which
// closes the channel on an acknowledgement of a tag that is not there.
type channelModel struct {
	unsettled []uint64
	finished  map[uint64]bool
}

func (m *channelModel) take(t *rapid.T, a ack) {
	at := slices.Index(m.unsettled, a.tag)
	if at < 0 {
		t.Fatalf("acknowledgement of tag %d, which is not outstanding", a.tag)
	}
	from := at
	if a.multiple {
		from = 0
	}
	for _, tag := range m.unsettled[from : at+1] {
		if !m.finished[tag] {
			t.Fatalf("acknowledgement %+v covers the unfinished tag %d", a, tag)
		}
	}
	m.unsettled = slices.Delete(m.unsettled, from, at+1)
}

func TestCoalescedAcksCoverWhatIsFinishedAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a acks
		m := channelModel{finished: map[uint64]bool{}}
		var running []uint64
		delivered, acked, written := uint64(0), 0, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 5).Draw(t, "step"); {
			case step < 2 || len(running) == 0:
				delivered++
				m.unsettled = append(m.unsettled, delivered)
				running = append(running, delivered)
			case step == 2: // rejected: written at once
				tag := pick(t, &running)
				m.unsettled = slices.DeleteFunc(m.unsettled, func(other uint64) bool { return other == tag })
				a.settle(tag, false)
			case step < 5:
				tag := pick(t, &running)
				m.finished[tag] = true
				acked++
				a.settle(tag, true)
			default:
				written += flushModel(t, &a, &m)
			}
		}
		written += flushModel(t, &a, &m)
		slices.Sort(running)
		if !slices.Equal(m.unsettled, running) {
			t.Fatalf("outstanding at the broker: %v, unfinished: %v", m.unsettled, running)
		}
		if written > acked {
			t.Fatalf("%d acknowledgements were written for %d", written, acked)
		}
	})
}

func flushModel(t *rapid.T, a *acks, m *channelModel) int {
	plan := a.plan(nil)
	for _, one := range plan {
		m.take(t, one)
	}
	if a.unsent != 0 {
		t.Fatalf("%d are left after a plan", a.unsent)
	}
	return len(plan)
}

func pick(t *rapid.T, from *[]uint64) uint64 {
	at := rapid.IntRange(0, len(*from)-1).Draw(t, "at")
	tag := (*from)[at]
	*from = slices.Delete(*from, at, at+1)
	return tag
}

func TestAcksInOrderBecomeOne(t *testing.T) {
	t.Parallel()
	var a acks
	for tag := range uint64(50) {
		a.settle(tag+1, true)
	}
	if got := a.plan(nil); !slices.Equal(got, []ack{{50, true}}) {
		t.Errorf("plan = %v, want one acknowledgement for all", got)
	}
	a.settle(52, true) // 51 runs
	a.settle(53, true)
	if got := a.plan(nil); !slices.Equal(got, []ack{{52, false}, {53, false}}) {
		t.Errorf("plan = %v, want one for each that is beyond an unfinished one", got)
	}
	a.settle(51, true)
	if got := a.plan(nil); !slices.Equal(got, []ack{{51, false}}) {
		t.Errorf("plan = %v, want the last one alone", got)
	}
}

func TestWhatIsSettledBehindALongTaskTakesABitEach(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	var a acks
	for tag := uint64(2); tag <= n; tag++ { // the first one is out
		a.settle(tag, true)
		if tag%100 == 0 {
			a.plan(nil)
		}
	}
	if words := cap(a.above.words) + cap(a.late.words); words > 2*2*n/tagsPerWord {
		t.Errorf("%d tags take %d words", n, words)
	}
	a.plan(nil)
	a.settle(1, true)
	if plan := a.plan(nil); len(plan) != 1 || plan[0] != (ack{tag: 1}) || a.floor != n {
		t.Errorf("in the end %+v is written, and everything is settled up to %d", plan, a.floor)
	}
	a.settle(n+1, true)
	if words := len(a.above.words) + len(a.late.words); words > 2 {
		t.Errorf("%d words are kept of what is settled", words)
	}
}
