package accessrecord_test

import (
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestTheLogLineNamesTheTaskAndNotTheVisitor(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r := newSQLite(t, accessrecord.Config{Logger: logger(&log)})
	if _, err := call(t.Context(), r, "the-id", positional(`{"address": "203.0.113.7"}`)); err != nil {
		t.Fatal(err)
	}
	info, debug := false, false
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "level=INFO") {
			info = strings.Contains(line, `msg="access record stored" task=access_record id=the-id`)
			if strings.Contains(line, "203.0.113.7") {
				t.Errorf("the visitor's address is in %s", line)
			}
		}
		debug = debug || strings.Contains(line, "level=DEBUG") && strings.Contains(line, "203.0.113.7")
	}
	if !info || !debug {
		t.Errorf("log:\n%swant one line at info, and the data at debug", log.String())
	}
}

func TestAVisitSentFromGoLeavesDefaultsToTheWorker(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	sig := accessrecord.Remote().S(accessrecord.Call{Data: accessrecord.Visit{Path: "/"}})
	data, err := codec.JSON{}.Marshal(sig.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), r, "id", positional(string(data))); err != nil {
		t.Fatal(err)
	}
	if got := newest(t, r); got.Address != "unknown" || got.UserAgent != "unknown" || got.ATime.IsZero() {
		t.Errorf("visit = %+v, want the defaults", got)
	}
}

func TestTheSampleIsAccepted(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	want := accessrecord.Sample()
	data, err := codec.JSON{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), r, "id", positional(string(data))); err != nil {
		t.Fatal(err)
	}
	if got := newest(t, r); !got.ATime.Equal(want.ATime) || got.Source != want.Source {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}

func TestTheTaskIsDescribed(t *testing.T) {
	t.Parallel()
	spec := newSQLite(t, accessrecord.Config{}).Task().Spec()
	if spec.Name != "access_record" || len(spec.Params) != 1 || spec.Params[0].Name != "data" || spec.Returns != "string" || spec.Doc == "" {
		t.Errorf("spec = %+v", spec)
	}
}

func TestACallWithoutATaskIDIsRefused(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	if _, err := r.Task().Spec().Handler.Handle(t.Context(), &task.Request{Arguments: positional(`{}`)}); err == nil {
		t.Error("no error, though nothing tells a second delivery from a second visit")
	}
}
