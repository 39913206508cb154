package amqp

import (
	"context"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	// maxSilences bounds how often the interval doubles after silences that did not end.
	maxSilences = 6
	// maxCalm bounds how often it doubles while every look finds all well.
	maxCalm = 4
)

// watch looks after a stream that receives nothing: whether the broker still knows its consumer, and whether messages wait although
// the stream could take them. Connected and not consuming is a state that no error reports.
type watch struct {
	timer    *time.Timer // for the next look
	interval time.Duration
	calm     int                    // looks in a row that found all well
	answers  chan broker.QueueStats // of the queue; buffered, one look at a time
	looking  bool
	waiting  bool // messages waited at the last look
}

func newWatch(interval time.Duration) *watch {
	return &watch{timer: time.NewTimer(interval), interval: interval, answers: make(chan broker.QueueStats, 1)}
}

func (w *watch) stop() { w.timer.Stop() }

// note takes a delivery as a sign of life.
func (w *watch) note() {
	if w.calm > 0 {
		w.calm = 0
		w.timer.Reset(w.interval)
	}
}

// look asks for the state of the queue, unless something came since the last look or the stream could take nothing.
func (w *watch) look(ctx context.Context, st *stream, apart bool) {
	w.timer.Reset(w.interval << w.calm)
	received := st.line.listen()
	waiting, _ := st.line.state()
	if received || waiting > 0 || apart || w.looking || st.isFull() {
		w.waiting = false
		return
	}
	w.looking = st.s.crew.start(func() {
		answer := make(chan broker.QueueStats, 1) // the request may outlive ctx, so it shares no variable with its caller
		err := st.s.withChannel(ctx, func(ch *amqp091.Channel) error {
			q, err := ch.QueueDeclarePassive(st.queue, false, false, false, false, nil)
			answer <- broker.QueueStats{Messages: q.Messages, Consumers: q.Consumers}
			return err
		})
		if err != nil {
			w.answers <- broker.QueueStats{Consumers: 1} // a queue that cannot be asked about is none of the watch's business
			return
		}
		w.answers <- <-answer
	})
}

// judge reports whether the consumer has to be replaced: the broker does not know it, or messages waited at two looks in a row and
// none came in between.
func (w *watch) judge(st *stream, stats broker.QueueStats) bool {
	w.looking = false
	if st.line.hasHeard() {
		return false
	}
	silent := stats.Consumers == 0 || stats.Messages > 0 && w.waiting
	w.waiting = stats.Messages > 0
	if w.waiting {
		w.timer.Reset(w.interval / 5) // they may be on their way
	} else {
		w.calm = min(w.calm+1, maxCalm)
	}
	return silent
}
