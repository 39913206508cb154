package worker_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// captured is a message that was recorded between Celery and RabbitMQ; see internal/wire/testdata/README.md.
type captured struct {
	Properties struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
		Priority        uint8  `json:"priority"`
		CorrelationID   string `json:"correlation_id"`
		ReplyTo         string `json:"reply_to"`
	} `json:"properties"`
	Headers map[string]any `json:"headers"`
	Body    []byte         `json:"body_base64"`
}

func capture(t *testing.T, path string) captured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "internal", "wire", "testdata", "tasks", path+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c captured
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c captured) message() broker.Message {
	p := c.Properties
	return broker.Message{
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, Priority: p.Priority, CorrelationID: p.CorrelationID,
		ReplyTo: p.ReplyTo, Headers: c.Headers, Body: c.Body,
	}
}

// outbox keeps the calls that a worker publishes after a task, as messages.
type outbox struct {
	mu       sync.Mutex
	messages []broker.Message
}

func (o *outbox) send(_ context.Context, s task.Signature, args codec.Codec) error {
	msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now(), Codec: args})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages = append(o.messages, msg)
	return nil
}

// content returns what of a message can be compared as JSON: all but who sent it.
func content(t *testing.T, msg broker.Message) map[string]any {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"headers": msg.Headers, "body": json.RawMessage(msg.Body), "type": msg.ContentType, "encoding": msg.ContentEncoding,
		"priority": msg.Priority, "correlation_id": msg.CorrelationID, "reply_to": msg.ReplyTo,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	headers := out["headers"].(map[string]any)
	delete(headers, "lang")
	delete(headers, "origin")
	return out
}

// TestCallsWhatFollowsAsCeleryDoes has a worker run tasks that Celery's worker ran, and compares what it publishes then. Ids that
// Celery's worker made up are made up here, too; the answers go to the parent's queue instead of the worker's.
func TestCallsWhatFollowsAsCeleryDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		run, parent string
		result      any // nil: it fails
		want        []string
	}{
		{"redis", "link.client-1", 5, []string{"link.worker-1"}},
		{"redis", "link_error_old.client-1", nil, []string{"link_error_old.worker-1"}},
		{"redis", "chain3.client-1", 3, []string{"chain3.worker-1"}},
		{"redis", "chain3.worker-1", 9, []string{"chain3.worker-2"}},
		{"redis", "chain3.worker-2", 13, nil},
		{"redis", "chain_ending_group.client-1", 2, []string{"chain_ending_group.worker-1", "chain_ending_group.worker-2"}},
		{"redis", "chord_body_chain.worker-1", 6, []string{"chord_body_chain.worker-2"}},
		{"rpc", "chain3.worker-1", 9, []string{"chain3.worker-2"}},
		{"final", "group_callback_many.client-1", 3, []string{"group_callback_many.worker-1", "group_callback_many.worker-2"}},
		{"final", "errback_chain_mid.client-1", 2, []string{"errback_chain_mid.worker-1"}},
		{"final", "errback_chain_mid.worker-1", nil, []string{"errback_chain_mid.worker-2"}},
		{"final", "retry_full.worker-1", 3, []string{"retry_full.worker-2"}},
		{"final", "retry_in_chain.client-1", 2, []string{"retry_in_chain.worker-1"}},
		{"final", "retry_in_chain.worker-2", 4, []string{"retry_in_chain.worker-3"}},
	} {
		for version, suffix := range map[string]string{"5.2.6": "old", "5.6.2": "rel", "main": "new"} {
			dir := version + "/run-" + c.run + "_" + suffix + "/"
			t.Run(dir+c.parent, func(t *testing.T) {
				t.Parallel()
				parent := capture(t, dir+c.parent)
				got := followUps(t, parent, c.result)
				if len(got) != len(c.want) {
					t.Fatalf("%d messages, want %d", len(got), len(c.want))
				}
				for i, name := range c.want {
					compareFollowUp(t, parent, capture(t, dir+name).message(), got[i], version == "5.2.6")
				}
			})
		}
	}
}

// In protocol 1 the steps of a chain are links of links.
func TestChainsOfProtocol1Advance(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outbox
				c := capture(t, version+"/proto1_chain")
				run := task.Raw("h2.add", task.HandlerFunc(func(context.Context, *task.Request) (any, error) { return 3, nil }))
				h := start(t, plan{tasks: []task.Definition{run}, send: out.send})
				h.publish(c.message())
				h.outcome(c.Properties.CorrelationID)
				if len(out.messages) != 1 {
					t.Fatalf("%d messages, want the next step", len(out.messages))
				}
				next := out.messages[0]
				if !strings.Contains(string(c.Body), `"task_id": "`+next.CorrelationID+`"`) || next.ReplyTo != c.Properties.ReplyTo ||
					next.Headers["root_id"] != c.Properties.CorrelationID || next.Headers["parent_id"] != c.Properties.CorrelationID {
					t.Errorf("%+v is not the caller's, or not of this chain", next)
				}
				const body = `[[3,3],{},{"callbacks":[{"task":"h2.add",`
				if !strings.HasPrefix(string(next.Body), body) {
					t.Errorf("body = %s, want %s…", next.Body, body)
				}
			})
		})
	}
}

// followUps runs the captured task in a worker and returns what that publishes after it.
func followUps(t *testing.T, parent captured, result any) []broker.Message {
	t.Helper()
	var out outbox
	synctest.Test(t, func(t *testing.T) {
		name := parent.Headers["task"].(string)
		run := task.Raw(name, task.HandlerFunc(func(context.Context, *task.Request) (any, error) {
			if result == nil {
				return nil, task.Raise("ValueError", "boom")
			}
			return result, nil
		}))
		h := start(t, plan{tasks: []task.Definition{run}, send: out.send})
		parent.Headers["eta"] = nil
		h.publish(parent.message())
		meta := h.outcome(parent.Headers["id"].(string))
		if failed := meta.State == task.Failure; failed != (result == nil) {
			t.Errorf("state %s: %v", meta.State, meta.Err())
		}
		synctest.Wait()
	})
	return out.messages
}

func compareFollowUp(t *testing.T, parent captured, want, got broker.Message, old bool) {
	t.Helper()
	w, g := content(t, want), content(t, got)
	wh, gh := w["headers"].(map[string]any), g["headers"].(map[string]any)
	for _, header := range []string{"id", "group"} { // made up where nobody gave one
		id, _ := gh[header].(string)
		if u, err := uuid.Parse(id); err == nil && u.Version() == 5 && wh[header] != nil {
			gh[header] = wh[header]
		}
	}
	if g["correlation_id"] == got.Headers["id"] {
		g["correlation_id"] = gh["id"]
	}
	if g["reply_to"] == parent.Properties.ReplyTo && !strings.Contains(string(parent.Body), want.ReplyTo) {
		g["reply_to"] = w["reply_to"]
	}
	if shown, _ := wh["argsrepr"].(string); strings.HasPrefix(shown, "['") { // a tuple once more, after JSON made a list of it
		wh["argsrepr"] = "(" + strings.Trim(shown, "[]") + ",)"
	}
	if old { // than these headers
		for _, header := range []string{"group_index", "replaced_task_nesting", "stamped_headers", "stamps"} {
			delete(wh, header)
			delete(gh, header)
		}
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("message (-Celery +taskq):\n%s", diff)
	}
}
