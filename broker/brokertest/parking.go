package brokertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func parkingClaims() []claim {
	return []claim{
		{"ParkedShowsMessageDestinationAndTime", parkedShows},
		{"ParkedStopsWhenAsked", parkedStops},
		{"UnparkRemovesWhatMatchesAndLeavesTheRestInOrderAndOnTime", unparkRemoves},
	}
}

// mine are the parked messages for the queue, by body.
func (f *fixture) mine(queue string) map[string]broker.Parked {
	f.Helper()
	got := map[string]broker.Parked{}
	err := f.Parked(f.Context(), func(p broker.Parked) bool {
		if p.To.RoutingKey == queue {
			got[string(p.Body)] = p
		}
		return true
	})
	f.ok(err, "list what is parked")
	return got
}

func parkedShows(f *fixture) {
	queue := f.queue(broker.Queue{})
	before := time.Now()
	msg := broker.Message{Body: []byte("shown"), CorrelationID: "7", ContentType: "text/plain", Headers: broker.Table{"tenant": "a", "n": int32(3)}}
	f.ok(f.PublishDelayed(f.Context(), broker.Address{RoutingKey: queue}, msg, 30*time.Second), "publish delayed")
	got, there := f.mine(queue)["shown"]
	if !there {
		f.Fatal("the parked message is not shown")
	}
	if got.CorrelationID != "7" || got.ContentType != "text/plain" || got.Headers["tenant"] != "a" || got.Headers["n"] != int32(3) || len(got.Headers) != 2 {
		f.Errorf("message = %+v, want what was published", got.Message)
	}
	if got.To != (broker.Address{RoutingKey: queue}) {
		f.Errorf("destination = %+v, want the queue", got.To)
	}
	// long delays may come early, and are parked again then
	if due := got.Due.Sub(before); due < 20*time.Second || due > 31*time.Second+time.Since(before) {
		f.Errorf("due in %v, want within 30 s", due)
	}
	n, err := f.Unpark(f.Context(), func(p broker.Parked) bool { return p.To.RoutingKey == queue })
	f.ok(err, "unpark")
	if n != 1 || len(f.mine(queue)) != 0 {
		f.Errorf("%d were unparked, want the one", n)
	}
}

func parkedStops(f *fixture) {
	queue := f.queue(broker.Queue{})
	for i := range 3 {
		f.delay(f, queue, fmt.Sprint(i), time.Minute)
	}
	shown := 0
	f.ok(f.Parked(f.Context(), func(broker.Parked) bool {
		shown++
		return false
	}), "list what is parked")
	if shown != 1 {
		f.Errorf("%d were shown, want one", shown)
	}
	_, err := f.Unpark(f.Context(), func(p broker.Parked) bool { return p.To.RoutingKey == queue })
	f.ok(err, "unpark")
}

func unparkRemoves(f *fixture) {
	queue := f.queue(broker.Queue{})
	const messages, delay = 60, 4 * time.Second
	var want []string
	began := time.Now()
	for i := range messages {
		body := fmt.Sprintf("%02d", i)
		if i%3 == 0 {
			body += " unwanted"
		} else {
			want = append(want, body)
		}
		f.delay(f, queue, body, delay)
	}
	published := time.Now()
	for range 3 { // what was looked at once must still be in order
		f.mine(queue)
	}
	n, err := f.Unpark(f.Context(), func(p broker.Parked) bool {
		return p.To.RoutingKey == queue && strings.HasSuffix(string(p.Body), "unwanted")
	})
	f.ok(err, "unpark")
	if time.Since(began) > delay {
		f.Log("this machine is too slow to tell") // some had become due before they were looked at
	} else if n != messages/3 {
		f.Errorf("%d were unparked, want %d", n, messages/3)
	}
	c := f.consume(f, messages, queue)
	var got []string
	for range want {
		d := f.next(c)
		got = append(got, string(d.Body))
		f.settle(d, broker.Ack)
	}
	if since := time.Since(began); since < delay {
		f.Errorf("all came after %v, before their delay", since)
	}
	f.Logf("the last came %v after its time", time.Since(published.Add(delay)))
	if n == messages/3 && !slices.Equal(got, want) {
		f.Errorf("came %v, want %v", got, want)
	}
}
