package wire_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// TestRetriesAsCeleryDoes compares the message that Celery's worker sent for a retry with ours for the same request.
func TestRetriesAsCeleryDoes(t *testing.T) {
	t.Parallel()
	for dir, scenarios := range map[string][]string{
		"tasks/5.6.2/run-final_rel": {"retry_full", "retry_expires", "retry_in_chain.worker-1", "retry_in_chord", "retry_stamped"},
		"tasks/main/run-final_new":  {"retry_full", "retry_expires", "retry_in_chain.worker-1", "retry_in_chord", "retry_stamped"},
		"tasks/5.6.2/run-ext_rel":   {"ext_retry"},
		"tasks/main/run-ext_new":    {"ext_retry"},
		"tasks/5.6.2/run-redis_rel": {"retry_exhaust", "retry_exhaust.worker-1"},
		"tasks/main/run-redis_new":  {"retry_exhaust", "retry_exhaust.worker-1"},
		"tasks/5.6.2/run-rpc_rel":   {"retry_exhaust.worker-1"},
		"tasks/main/run-rpc_new":    {"retry_exhaust.worker-1"},
	} {
		for _, scenario := range scenarios {
			t.Run(dir+"/"+scenario, func(t *testing.T) {
				t.Parallel()
				before, after := scenario+".client-1.json", scenario+".worker-1.json"
				if first, ok := strings.CutSuffix(scenario, ".worker-1"); ok {
					before, after = scenario+".json", first+".worker-2.json"
				}
				req, err := wire.Decode(load(t, path.Join(dir, before)).delivery(t), jsonOnly(), wire.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				f := load(t, path.Join(dir, after))
				want := f.message(t)
				got, err := wire.Retry(req, at(t, want.Headers["eta"].(string)), sentAt(t, f))
				if err != nil {
					t.Fatal(err)
				}
				want.Headers["lang"] = "go"
				compareMessages(t, want, got)
			})
		}
	}
}

func TestRetryOfProtocol1GoesOutAsProtocol2(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		req, err := wire.Decode(load(t, path.Join("tasks", version, "proto1_full.json")).delivery(t), jsonOnly(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		eta := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		msg, err := wire.Retry(req, eta, eta.Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.Decode(broker.NewDelivery(msg, nil), jsonOnly(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if again.Protocol != 2 || again.ArgsRepr == "" {
			t.Errorf("protocol %d, argsrepr %q, want 2 and a text", again.Protocol, again.ArgsRepr)
		}
		want := *req
		want.Retries, want.ETA, want.ParentID = req.Retries+1, eta, req.ID
		want.Protocol, want.ArgsRepr, want.KwargsRepr = 2, again.ArgsRepr, again.KwargsRepr
		want.Exchange, want.RoutingKey, want.Queue = "", "", ""
		want.KeepResult = true // protocol 1 leaves it to the task
		if diff := cmp.Diff(&want, again); diff != "" {
			t.Errorf("%s: request (-want +got):\n%s", version, diff)
		}
	}
}

func TestRetryLeavesTheRequestAlone(t *testing.T) {
	t.Parallel()
	req, err := wire.Decode(delivery(header(broker.Table{"x-death": []any{}, "trace": "abc"}), plainBody), jsonOnly(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	before := *req
	msg, err := wire.Retry(req, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, *req); diff != "" {
		t.Errorf("the request changed:\n%s", diff)
	}
	if _, ok := msg.Headers["x-death"]; ok || msg.Headers["trace"] != "abc" || msg.Headers["eta"] != nil {
		t.Errorf("headers = %v, want trace, no x-death, no eta", msg.Headers)
	}
}

func TestReparkKeepsTheMessage(t *testing.T) {
	t.Parallel()
	for _, file := range paths(t, "tasks/main") {
		f := load(t, file)
		want, now := f.message(t), time.Time{}
		if want.Expiration > time.Millisecond {
			now = sentAt(t, f)
		}
		if got := wire.Repark(f.delivery(t), now); !cmp.Equal(want, got) && want.Expiration != time.Millisecond {
			t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(want, got))
		}
	}
}

func TestReparkTakesOffDeadLetterHeadersAndWaitedTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	d := delivery(header(broker.Table{
		"expires": "2030-01-01T00:00:10", "x-death": []any{}, "x-first-death-queue": "q", "x-last-death-reason": "expired",
		"x-delivery-count": int64(3), "x-acquired-count": int64(3), "x-mine": int64(-1 << 40),
	}), plainBody)
	d.Expiration = time.Hour
	got := wire.Repark(d, now)
	want := header(broker.Table{"expires": "2030-01-01T00:00:10", "x-mine": float64(-1 << 40)})
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Expiration != 10*time.Second {
		t.Errorf("expiration = %v, want 10s", got.Expiration)
	}
	if string(got.Body) != plainBody {
		t.Errorf("body = %s", got.Body)
	}
	if _, ok := d.Headers["x-death"]; !ok {
		t.Error("the delivery's own headers changed")
	}
}

// A message of protocol 1, which says it in its body, and one without headers are postponed like any other.
func TestAPostponedTaskIsDueThenWhateverItsProtocol(t *testing.T) {
	t.Parallel()
	due := time.Date(2030, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	for name, d := range map[string]*broker.Delivery{
		"protocol 2": delivery(header(broker.Table{"eta": "2029-01-01T00:00:00+00:00"}), plainBody),
		"protocol 1": delivery(nil, `{"id": "i", "task": "t", "args": [], "kwargs": {}, "eta": "2029-01-01T00:00:00"}`),
	} {
		msg := wire.Repark(d, due)
		wire.Postpone(&msg, due)
		d.Message = msg
		req, err := wire.Decode(d, codec.NewSet(codec.JSON{}), wire.Limits{})
		if err != nil || !req.ETA.Equal(due) {
			t.Errorf("%s: due at %v, %v; want %v", name, req, err, due)
		}
	}
}
