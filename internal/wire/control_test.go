package wire_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// A revocation is what Celery sends, but for spaces and the address of an answer that nobody waits for here.
func TestRevocationsAreCelerys(t *testing.T) {
	t.Parallel()
	files := paths(t, "control")
	if len(files) != 12 {
		t.Fatalf("%d requests, want 12", len(files))
	}
	for _, path := range files {
		t.Run(filepath.ToSlash(path), func(t *testing.T) {
			t.Parallel()
			f := load(t, path)
			var sent struct {
				Arguments struct {
					TaskID    json.RawMessage `json:"task_id"`
					Terminate bool            `json:"terminate"`
					Signal    string          `json:"signal"`
				} `json:"arguments"`
			}
			if err := json.Unmarshal(f.Body, &sent); err != nil {
				t.Fatal(err)
			}
			want := f.message(t)
			seconds := want.Headers["expires"].(float64)
			r := wire.Revoke{
				Terminate: sent.Arguments.Terminate, Signal: sent.Arguments.Signal, Clock: want.Headers["clock"].(int32),
				Now: time.Unix(0, int64(seconds*1e9)).Add(-time.Second),
			}
			if r.Signal == "SIGTERM" {
				r.Signal = ""
			}
			if r.IDs = decoded[[]string](t, list(sent.Arguments.TaskID)); len(r.IDs) == 0 {
				t.Fatal("no id was revoked")
			}
			got, err := wire.EncodeRevoke(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(string(want.Body), `, "ticket"`)
			var body bytes.Buffer
			if err := json.Compact(&body, []byte(text+"}")); err != nil {
				t.Fatal(err)
			}
			want.Body = body.Bytes()
			expires := got.Headers["expires"].(float64)
			if diff := expires - seconds; diff > 1e-3 || diff < -1e-3 {
				t.Errorf("expires = %f, want %f", expires, seconds)
			}
			got.Headers["expires"] = seconds
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-celery +ours)\n%s", diff)
			}
			exchange := wire.ControlExchange()
			if exchange.Name != f.Exchange || f.RoutingKey != "" || exchange.Kind != broker.Fanout || !exchange.Transient || exchange.AutoDelete {
				t.Errorf("exchange = %+v, want %s with the key %q", exchange, f.Exchange, f.RoutingKey)
			}
		})
	}
}

// list makes a list of a JSON value that may be one already.
func list(raw json.RawMessage) []byte {
	if strings.HasPrefix(string(raw), "[") {
		return raw
	}
	return []byte("[" + string(raw) + "]")
}
