// Package message writes the messages that apply_async of Celery 5.2.6 sends: protocol 2 with its 16 headers, persistent, JSON.
package message

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

// tail is the third part of a body, of a call that nothing follows.
const tail = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`

// Writer writes the messages of one sender.
type Writer struct {
	order   order.Order
	origin  string
	replyTo string
	pad     string
}

// New returns a writer of the order's tasks. Their results are sent to the queue replyTo; "" is one that nobody has.
func New(o order.Order, replyTo string) *Writer {
	if replyTo == "" {
		replyTo = uuid.NewString()
	}
	return &Writer{order: o, origin: fmt.Sprintf("gen%d@%s", os.Getpid(), "localhost"), replyTo: replyTo, pad: strings.Repeat("x", o.Body)}
}

// Publishing is the message of the task with the number i.
func (w *Writer) Publishing(i int) (amqp091.Publishing, error) {
	id := uuid.NewString()
	kwargs, repr, err := w.arguments(i)
	if err != nil {
		return amqp091.Publishing{}, err
	}
	return amqp091.Publishing{
		Headers: amqp091.Table{
			"lang": "py", "task": w.order.Task(i), "id": id, "shadow": nil, "eta": w.eta(), "expires": nil, "group": nil, "group_index": nil,
			"retries": int32(0), "timelimit": []any{nil, nil}, "root_id": id, "parent_id": nil, "argsrepr": "()", "kwargsrepr": repr,
			"origin": w.origin, "ignore_result": false,
		},
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent, CorrelationId: id, ReplyTo: w.replyTo,
		Body: []byte("[[], " + kwargs + ", " + tail + "]"),
	}, nil
}

// eta is when the task is due, as Celery writes it, or nil.
func (w *Writer) eta() any {
	if w.order.Delay <= 0 {
		return nil
	}
	return time.Now().Add(time.Duration(w.order.Delay * float64(time.Second))).UTC().Format("2006-01-02T15:04:05.000000-07:00")
}

// arguments are the keyword arguments in JSON, and their representation for people, which Celery cuts.
func (w *Writer) arguments(i int) (kwargs, repr string, err error) {
	if w.order.Work == order.Visit {
		visit, err := json.Marshal(subject.NewVisit(i))
		return `{"data": ` + string(visit) + `}`, `{'data': {'path': '/', 'query_str': 'page=2&sort=-date', 'address': '203.0.113.7', ...}}`, err
	}
	if w.pad == "" {
		return fmt.Sprintf(`{"x": %d, "y": 2}`, i), fmt.Sprintf(`{'x': %d, 'y': 2}`, i), nil
	}
	return fmt.Sprintf(`{"x": %d, "y": 2, "pad": "%s"}`, i, w.pad), fmt.Sprintf(`{'x': %d, 'y': 2, 'pad': 'xxxxxxxxxxxxxxxxxxxx...'}`, i), nil
}
