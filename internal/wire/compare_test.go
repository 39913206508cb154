package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
)

// at is a time of the recordings; one without a zone is UTC.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if v, err := time.Parse(layout, s); err == nil {
			return v.UTC()
		}
	}
	t.Fatalf("%q is no time", s)
	return time.Time{}
}

// sentAt is when the fixture was sent, as far as its times tell.
func sentAt(t *testing.T, f *fixture) time.Time {
	t.Helper()
	h := table(t, f.Typed)
	switch {
	case h["expires"] != nil:
		return at(t, h["expires"].(string)).Add(-f.message(t).Expiration)
	case h["eta"] != nil:
		return at(t, h["eta"].(string)).Add(-time.Hour)
	}
	return time.Time{}
}

// asOurs returns the captured message with what taskq always does otherwise:
//
//   - lang is "go";
//   - times are in UTC, where Python sends the caller's zone, or none;
//   - replaced_task_nesting, stamped_headers and stamps are there, which 5.2.6 does not know.
func asOurs(t *testing.T, f *fixture) broker.Message {
	t.Helper()
	msg := f.message(t)
	msg.Headers["lang"] = "go"
	for _, name := range []string{"eta", "expires"} {
		if text, ok := msg.Headers[name].(string); ok && !strings.HasSuffix(text, "+00:00") {
			msg.Headers[name] = at(t, text).Format("2006-01-02T15:04:05.999999+00:00")
		}
	}
	for name, value := range map[string]any{"replaced_task_nesting": int32(0), "stamped_headers": nil, "stamps": broker.Table{}} {
		if _, ok := msg.Headers[name]; !ok {
			msg.Headers[name] = value
		}
	}
	return msg
}

// compareMessages compares whole messages: each property, each header with its type, and the body by what its JSON says.
func compareMessages(t *testing.T, want, got broker.Message) {
	t.Helper()
	wantBody, gotBody := bodyOf(t, want), bodyOf(t, got)
	if diff := cmp.Diff(wantBody, gotBody); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	want.Body, got.Body = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// bodyOf is the body's JSON, in which times are written as taskq writes them, and options of followers that are null are left out.
func bodyOf(t *testing.T, msg broker.Message) any {
	t.Helper()
	body, ok := plainJSON[any](t, string(msg.Body)).([]any)
	if !ok || len(body) != 3 {
		t.Fatalf("the body is no list of three: %.100s", msg.Body)
	}
	embed, _ := body[2].(map[string]any)
	for name, followers := range embed {
		embed[name] = withoutNullOptions(followers)
	}
	return plainTimes(body)
}

// plainTimes replaces the values that kombu ≥ 5.3 tags by their text, and times by our form of them.
func plainTimes(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plainTimes(v[i])
		}
	case map[string]any:
		if text, ok := v["__value__"].(string); ok && len(v) == 2 && v["__type__"] != "base64" {
			return plainTimes(text)
		}
		for k := range v {
			v[k] = plainTimes(v[k])
		}
	case string:
		if t, err := codec.ParseTime(v); err == nil && strings.Contains(v, "T") {
			return codec.FormatTime(t.UTC())
		}
	}
	return v
}
