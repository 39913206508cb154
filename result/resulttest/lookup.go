package resulttest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// same stores an outcome and looks it up.
func same(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	store(t, b, m)
	got, err := b.Get(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("%.40s (-want +got):\n%.2000s", m.ID, diff)
	}
}

func testUnknown(t *testing.T, h Harness) {
	wantState(t, open(t, h), uuid.NewString(), task.Pending)
}

func testRoundTrip(t *testing.T, h Harness) {
	b := open(t, h)
	m := failure(uuid.NewString())
	m.GroupID, m.ParentID = "g", "p"
	sent := m
	sent.ReplyTo, sent.CorrelationID = "q", "c" // where to send it is not part of it
	store(t, b, sent)
	got, err := b.Get(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
}

func testExtended(t *testing.T, h Harness) {
	b := open(t, h)
	m := success(uuid.NewString(), `{"sum": 3}`)
	m.Extended = &task.Extended{
		Name: "math.add", Args: codec.Raw(`[1, "2"]`), Kwargs: codec.Raw(`{"c": [3.0, null]}`), Worker: "w1@host", Retries: 2, Queue: "math",
		StampedHeaders: []string{"tenant", "n"}, Stamps: map[string]any{"tenant": "acme", "n": []any{int64(1), "zwei"}},
	}
	same(t, b, m)
	m = success(uuid.NewString(), `null`)
	m.State, m.DoneAt = task.Started, time.Time{}
	m.Extended = &task.Extended{Name: "math.add", Args: codec.Raw(`[]`), Kwargs: codec.Raw(`{}`)}
	same(t, b, m)
}

func testChildren(t *testing.T, h Harness) {
	b := open(t, h)
	parent := &task.Ref{ID: "p", Parent: &task.Ref{ID: "q"}}
	for _, children := range [][]task.Ref{
		nil, // nobody kept count
		{},
		{{ID: "c"}, {ID: "d", Parent: parent}},
		{{ID: "g", Parent: parent, Group: true, Members: []task.Ref{{ID: "m"}, {ID: "n", Group: true, Members: []task.Ref{{ID: "o"}}}}}},
		{{ID: "empty", Group: true}},
	} {
		m := success(uuid.NewString(), `1`)
		m.Children = children
		same(t, b, m)
	}
}

// testIDs: Celery's databases have room for ids of 255 characters.
func testIDs(t *testing.T, h Harness) {
	b := open(t, h)
	unique := uuid.NewString()
	for i, id := range []string{
		unique, strings.ToUpper(unique), unique + " ", " " + unique, unique + strings.Repeat("x", 255-len(unique)),
		unique + strings.Repeat("任", 255-len(unique)), unique + "'\"`\\%_*?[a]{b}:;,.|/~", unique + "\n\t€𝄞",
	} {
		m := success(id, []string{"0", "1", "2", "3", "4", "5", "6", "7"}[i])
		m.GroupID, m.ParentID = id, id
		same(t, b, m)
	}
	if m, err := b.Get(t.Context(), unique); err != nil || string(m.Result) != "0" {
		t.Errorf("the first one's result is %s, %v, want 0: ids are taken for one another", m.Result, err)
	}
}

func testLarge(t *testing.T, h Harness) {
	here, there := pair(t, h)
	m := success(uuid.NewString(), `"`+strings.Repeat("0123456789abcdef", 1<<16)+`"`)
	m.Traceback = strings.Repeat("File \"tasks.py\", line 1, ünï\n", 1<<15)
	store(t, here, m)
	if got := wait(t, there, m.ID); !bytes.Equal(got.Result, m.Result) || got.Traceback != m.Traceback { // cmp takes seconds for these
		t.Errorf("%d bytes of result and %d of traceback, want the %d and %d that were stored", len(got.Result), len(got.Traceback), len(m.Result), len(m.Traceback))
	}
}

func testForget(t *testing.T, h Harness) {
	b := open(t, h)
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	if err := b.Forget(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	wantState(t, b, id, task.Pending)
	if err := b.Forget(t.Context(), id); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func testExpiry(t *testing.T, h Harness) {
	b := closing(t, h.Expiring(t, 50*time.Millisecond))
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	until(t, "it does not expire", func() bool {
		m, err := b.Get(t.Context(), id)
		return err == nil && m.State == task.Pending
	})
	store(t, b, failure(id)) // an expired success is no success
	m, err := b.Get(t.Context(), id)
	if err != nil || m.State == task.Success {
		t.Errorf("state = %s, %v", m.State, err)
	}
}
