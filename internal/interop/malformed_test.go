package interop_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// end is what becomes of a message.
type end struct {
	state  string            // of the answer to the caller; "" for none
	class  string            // of the answer's exception
	reason deadletter.Reason // why it is a dead letter; "" when it is none
}

// oddEnds are the messages that do not simply succeed, or do so here alone. What cannot be run is a dead letter, and the caller is told
// if the message says who waits.
func oddEnds() map[string]end {
	malformed := end{"FAILURE", "InvalidTaskError", deadletter.Malformed}
	undecodable := end{"FAILURE", "DecodeError", deadletter.Malformed}
	refused := end{"FAILURE", "ContentDisallowed", deadletter.Refused}
	nobody := end{reason: deadletter.Malformed} // who waits is not known
	typeError := end{state: "FAILURE", class: "TypeError"}
	return map[string]end{
		// Celery's worker ends of these, each time that it starts again
		"body_2elem": malformed, "body_4elem": malformed, "body_empty_list": malformed, "body_null": malformed, "empty_body": undecodable,
		"no_id": nobody, "no_content_type": refused, "eta_empty": malformed, "timelimit_one": malformed, "timelimit_str": malformed,
		"field_tag_s": {state: "SUCCESS"}, "id_bytes": nobody, "task_bytes": nobody,
		// Celery acknowledges or rejects these without a word to the caller
		"no_task_header_listbody": nobody, "no_headers_listbody": nobody, "proto1_kwargs_list": malformed,
		"invalid_json": undecodable, "unknown_compression": undecodable, "compression_header_mismatch": undecodable, "bomb": undecodable,
		"ct_charset": refused, "ct_pickle_disallowed": refused, "ct_unknown": refused,
		"kwargs_list": malformed, "kwargs_null": malformed, "eta_bad": malformed, "eta_int": malformed, "expires_bad": malformed,
		"nested_body": undecodable, "nested_header": nobody, // those headers are not read
		// Celery ≥ 5.3 drops the message; here an argument is decoded where it is used, and h2.echo does not
		"type_tag_unknown": {state: "SUCCESS"}, "type_tag_dt_bad": {state: "SUCCESS"},
		// as in Celery, but that a call which no task can take is a dead letter as well
		"args_null": {"FAILURE", "TypeError", deadletter.Malformed}, "args_object": {"FAILURE", "TypeError", deadletter.Malformed},
		"wrong_arity":  typeError,
		"expires_past": {state: "REVOKED", class: "TaskRevokedError"},
		"unknown_task": {"FAILURE", "NotRegistered", deadletter.Unregistered},
		"no_reply_to":  {}, "ignore_result_true": {},
		"eb_old": {state: "FAILURE", class: "ValueError"}, "eb_unregistered": {state: "FAILURE", class: "ValueError"},
		// Celery runs the task and then fails, over a link that could be called
		"cb_min_task": {state: "SUCCESS"}, "cb_task_args": {state: "SUCCESS"}, "cb_not_list": {state: "SUCCESS"},
		// likewise over one that could not: here the task does not run
		"cb_number": malformed, "cb_nameless": malformed, "chain_text": malformed, "chord_list": malformed,
	}
}

// odd is one of the messages that Celery's workers were tried with.
type odd struct {
	Headers    map[string]any `json:"headers"`
	Properties struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
		CorrelationID   string `json:"correlation_id"`
		ReplyTo         string `json:"reply_to"`
	} `json:"properties"`
	Body any `json:"body"` // text, or {"base64": …}
}

func (o odd) publishing(t *testing.T) amqp091.Publishing {
	t.Helper()
	p := amqp091.Publishing{
		ContentType: o.Properties.ContentType, ContentEncoding: o.Properties.ContentEncoding,
		CorrelationId: o.Properties.CorrelationID, ReplyTo: o.Properties.ReplyTo,
	}
	p.Headers, _ = wireValue(o.Headers).(amqp091.Table)
	switch body := o.Body.(type) {
	case string:
		p.Body = []byte(body)
	case map[string]any:
		b, err := base64.StdEncoding.DecodeString(body["base64"].(string))
		if err != nil {
			t.Fatal(err)
		}
		p.Body = b
	}
	return p
}

// wireValue turns a JSON value into what py-amqp sends for it.
func wireValue(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) {
			return int32(v)
		}
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, wireValue(e))
		}
		return list
	case map[string]any:
		table := amqp091.Table{}
		for k, e := range v {
			table[k] = wireValue(e)
		}
		return table
	}
	return v
}

// recordedOdds are the cases of three versions, by "version/name".
func recordedOdds(t *testing.T) map[string]amqp091.Publishing {
	t.Helper()
	all := map[string]amqp091.Publishing{}
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		data, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "malformed", version+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Cases map[string][]odd `json:"cases"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for name, tries := range file.Cases {
			all[version+"/"+name] = tries[len(tries)-1].publishing(t)
		}
	}
	if len(all) != 3*82 {
		t.Fatalf("%d cases, want 82 of each version", len(all))
	}
	return all
}

// moreOdds are messages that Python cannot send or would not.
func moreOdds(t *testing.T) map[string]amqp091.Publishing {
	t.Helper()
	good := func(id string, more amqp091.Table) amqp091.Publishing {
		p := amqp091.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", CorrelationId: id, ReplyTo: "yes", Body: []byte(`[[1, 2], {}, {}]`),
			Headers: amqp091.Table{"task": "h2.add", "id": id},
		}
		maps.Copy(p.Headers, more)
		return p
	}
	deepHeader := any("x")
	for range 2000 {
		deepHeader = []any{deepHeader}
	}
	nested := good("nested", nil)
	nested.Body = []byte(strings.Repeat("[", 1_000_000))
	bomb := good("bomb", amqp091.Table{"compression": "application/x-bz2"})
	var err error
	if bomb.Body, err = base64.StdEncoding.DecodeString("QlpoOTFBWSZTWSXkH90AgICQAMAAAAggADCAKRoBANIBAOLuSKcKEgS8g/ug"); err != nil { // 16 MiB of spaces
		t.Fatal(err)
	}
	follow := func(id, embed string) amqp091.Publishing {
		p := good(id, nil)
		p.Body = []byte(`[[1, 2], {}, ` + embed + `]`)
		return p
	}
	return map[string]amqp091.Publishing{
		"cb_number":     follow("cb number", `{"callbacks": [7]}`),
		"cb_nameless":   follow("cb nameless", `{"callbacks": [{"args": [], "options": {}}]}`),
		"cb_deep":       follow("cb deep", `{"callbacks": [`+strings.Repeat(`{"task":"t","options":{"link":[`, 30)+strings.Repeat(`]}}`, 30)+`]}`),
		"chain_text":    follow("chain text", `{"chain": "h2.mul"}`),
		"chord_list":    follow("chord list", `{"chord": []}`),
		"field_tag_s":   good("short", amqp091.Table{"short": int16(-5)}),
		"field_tags":    good("tags", amqp091.Table{"b": int8(-1), "B": byte(200), "l": int64(-1 << 40), "f": float32(1.5), "D": amqp091.Decimal{Scale: 2, Value: 110}}),
		"header_bytes":  good("bytes", amqp091.Table{"x": "\xff\xfe", "\xc3": "name"}),
		"id_bytes":      good("\xff\xfe", nil),
		"task_bytes":    good("task bytes", amqp091.Table{"task": "\xff"}),
		"nested_header": good("nested header", amqp091.Table{"x": deepHeader}),
		"nested_body":   nested,
		"bomb":          bomb,
	}
}

// TestOddMessagesEndWhereTheyShould has a live worker take everything at once, and a good task behind it.
func TestOddMessagesEndWhereTheyShould(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	ch := channel(t, url)
	declareQueue(t, ch, "odd")
	if _, err := ch.QueueDeclare("answers", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	cases := recordedOdds(t)
	for name, p := range moreOdds(t) {
		cases["more/"+name] = p
	}
	waiting := map[string]string{} // correlation id of the answer → case
	want := map[string]end{}
	for name, p := range cases {
		_, short, _ := strings.Cut(name, "/")
		e, isOdd := oddEnds()[short]
		if !isOdd {
			e = end{state: "SUCCESS"}
		}
		want[name] = e
		if p.ReplyTo != "" {
			p.ReplyTo = "answers"
		}
		id, _ := p.Headers["id"].(string)
		if p.CorrelationId != "" {
			p.CorrelationId = name
		}
		waiting[cmp.Or(p.CorrelationId, id)] = name
		p.MessageId = name
		publishRaw(t, ch, "odd", p)
	}
	publishRaw(t, ch, "odd", amqp091.Publishing{
		ContentType: "application/json", CorrelationId: "good", ReplyTo: "answers", Body: []byte(`[[2, 3], {}, {}]`),
		Headers: amqp091.Table{"task": "h2.add", "id": "good"},
	})
	waiting["good"], want["good"] = "good", end{state: "SUCCESS"}

	stop := startOddWorker(t, url)
	got := collect(t, ch, want, waiting)
	for name, e := range want {
		if got[name] != e {
			t.Errorf("%s ended as %+v, want %+v", name, got[name], e)
		}
	}
	stop()
	for _, queue := range []string{"odd", "answers", "odd.dead"} { // links may be there, but nothing of the cases
		for {
			d, more, err := ch.Get(queue, true)
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			if name := cmp.Or(waiting[d.CorrelationId], d.MessageId); name != "" {
				t.Errorf("%s has a message too many in %s: %.200s", name, queue, d.Body)
			}
		}
	}
}

// startOddWorker runs the tasks of the cases until stop.
func startOddWorker(t *testing.T, url string) (stop func()) {
	t.Helper()
	echo := task.HandlerFunc(func(_ context.Context, req *task.Request) (any, error) { return len(req.Args), nil })
	type pair struct{ X, Y int }
	app := newAppOf(t, taskq.Config{
		BrokerURL: url, Logger: slog.New(slog.DiscardHandler), DefaultQueue: "odd", Worker: worker.Options{Concurrency: 2, DeadLetters: true},
	},
		task.New("h2.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil }),
		task.New("h2.mul", func(_ context.Context, p pair) (int, error) { return p.X * p.Y, nil }),
		task.New("h2.none", func(context.Context, struct{}) (any, error) { return nil, nil }),
		task.New("h2.fail", func(context.Context, struct{}) (any, error) { return nil, task.Raise("ValueError", "boom") }),
		task.Raw("h2.echo", echo))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("worker: %v", err)
		}
	}
}

// collect reads answers and dead letters until all has ended as wanted, or time is up.
func collect(t *testing.T, ch *amqp091.Channel, want map[string]end, waiting map[string]string) map[string]end {
	t.Helper()
	declareQueue(t, ch, "odd.dead")
	answers, dead := consumeRaw(t, ch, "answers"), consumeRaw(t, ch, "odd.dead")
	got := map[string]end{}
	left := map[string]bool{}
	for name, e := range want {
		left[name] = e != end{}
	}
	maps.DeleteFunc(left, func(_ string, waits bool) bool { return !waits })
	timeout := time.After(limit)
	for len(left) > 0 {
		var name string
		select {
		case d := <-answers:
			if name = waiting[d.CorrelationId]; name == "" {
				continue // of a link
			}
			got[name] = answered(t, name, got[name], d)
		case d := <-dead:
			if name = d.MessageId; name == "" {
				continue // of a link, to a task that is not here
			}
			letter := deadletter.Read(broker.NewDelivery(broker.Message{Headers: map[string]any(d.Headers)}, nil))
			e := got[name]
			if e.reason != "" || letter.Deliveries != 1 {
				t.Errorf("%s died again, or after %d deliveries", name, letter.Deliveries)
			}
			e.reason = letter.Reason
			got[name] = e
		case <-timeout:
			t.Errorf("%d did not end as wanted", len(left))
			return got
		}
		if got[name] == want[name] {
			delete(left, name)
		}
	}
	for _, queue := range []string{"answers", "odd.dead"} { // what comes for them now is too much
		if err := ch.Cancel(queue, false); err != nil {
			t.Error(err)
		}
	}
	return got
}

func answered(t *testing.T, name string, e end, d amqp091.Delivery) end {
	t.Helper()
	var answer struct {
		Status string          `json:"status"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(d.Body, &answer); err != nil {
		t.Fatal(err)
	}
	if e.state != "" {
		t.Errorf("%s (%q) has a second answer: %s", name, d.CorrelationId, d.Body)
	}
	e.state = answer.Status
	if answer.Status == "SUCCESS" {
		return e
	}
	var exc struct {
		Type string `json:"exc_type"`
	}
	if err := json.Unmarshal(answer.Result, &exc); err != nil {
		t.Error(err)
	}
	e.class = exc.Type
	return e
}
