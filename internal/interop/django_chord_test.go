package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/task"
)

// djangoChords are the tasks of a site's chords, and what sends them: all members but the last one go to the site's worker, and nobody
// runs that one, so that the test can be its worker.
const djangoChords = `
import json, sys
from celery import chord, group
from site_celery import app

@app.task(name="chords.add")
def add(a, b):
    return a + b

@app.task(name="chords.total")
def total(numbers):
    return sum(n if isinstance(n, int) else sum(n) for n in numbers)

def counted():
    from django_celery_results.models import ChordCounter
    return [[c.group_id, c.count] for c in ChordCounter.objects.all()]

here, nowhere = {"queue": "python"}, {"queue": "nobody"}

# A chord as Python applies it.
def applied():
    header = [add.s(1, 1).set(**here), add.s(2, 2).set(**here), add.s(3, 3).set(**nowhere)]
    r = chord(header)(total.s().set(**here))
    print(json.dumps({"body": r.id, "group": r.parent.id, "parts": [c.id for c in r.parent.results], "counted": counted()}))

# The members of a chord that was counted by somebody else already.
def members(group_id, ids, body):
    for i, id in enumerate(ids):
        add.apply_async((i + 1, i + 1), task_id=id, group_id=group_id, group_index=i, chord=total.s().set(task_id=body, **here), **here)
`

// djangoSite is a site whose chords are counted in both languages.
type djangoSite struct {
	*testserver.Django
	store *postgres.Backend
}

func newDjangoSite(t *testing.T) *djangoSite {
	t.Helper()
	database := testserver.Postgres(t)
	django := testserver.NewDjango(t, testserver.DjangoConfig{
		Broker: testserver.AMQPVhost(t), Database: database, Modules: map[string]string{"chords.py": djangoChords},
	})
	django.Manage("migrate", "--verbosity", "0")
	store, err := postgres.Open(t.Context(), postgres.Config{URL: database, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &djangoSite{django, store}
}

// join is what a worker does once the task of this number has ended, which is the sum of the number and itself.
func (s *djangoSite) join(ctx context.Context, t *testing.T, group, id string, number int) *result.Joined {
	t.Helper()
	value, err := json.Marshal(2 * number)
	if err != nil {
		t.Fatal(err)
	}
	m := task.Meta{ID: id, GroupID: group, State: task.Success, Result: codec.Raw(value)}
	if err := s.store.Store(ctx, m); err != nil {
		t.Fatal(err)
	}
	joined, err := s.store.JoinChord(ctx, result.ChordPart{Meta: m, Index: number - 1})
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// wantParts wants the doubles of 1, 2 and 3.
func wantParts(t *testing.T, joined *result.Joined, ids []string) {
	t.Helper()
	if joined == nil {
		t.Fatal("the chord is not complete")
	}
	var got []int
	for i, part := range joined.Parts {
		var n int
		if err := part.Value(&n); err != nil || part.ID != ids[i] || part.State != task.Success {
			t.Errorf("part %d = %+v, %v", i, part, err)
		}
		got = append(got, n)
	}
	if diff := cmp.Diff([]int{2, 4, 6}, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// wantTotal wants the body to have run in Python.
func (s *djangoSite) wantTotal(ctx context.Context, t *testing.T, body string) {
	t.Helper()
	m, err := s.store.Wait(ctx, body)
	var sum int
	if err = errors.Join(err, m.Value(&sum)); err != nil || sum != 12 {
		t.Errorf("sum of the chord = %d, %v; want 12", sum, err)
	}
}

// applied is a chord that Python applied.
type applied struct {
	Body, Group string
	Parts       []string
	Counted     [][]any
}

func (s *djangoSite) apply(t *testing.T) (a applied) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Run("import chords\nchords.applied()")), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// counted are the counters that Django sees.
func (s *djangoSite) counted(t *testing.T) string {
	t.Helper()
	return s.Run("import chords\nprint(chords.json.dumps(chords.counted()))")
}

func TestGoCountsTheLastPartOfADjangoChord(t *testing.T) {
	t.Parallel()
	s := newDjangoSite(t)
	s.Worker("chords", "-P", "solo", "-Q", "python")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	sent := s.apply(t)
	for _, id := range sent.Parts[:2] {
		if m, err := s.store.Wait(ctx, id); err != nil || m.State != task.Success {
			t.Fatalf("%s is %s, %v", id, m.State, err)
		}
	}
	waitFor(t, "Python has counted its parts", func() bool { return s.counted(t) == `[["`+sent.Group+`", 1]]`+"\n" })
	for range 2 { // who dies before the body is sent is told again
		wantParts(t, s.join(ctx, t, sent.Group, sent.Parts[2], 3), sent.Parts)
	}
	if err := s.store.ForgetChord(ctx, sent.Group); err != nil {
		t.Fatal(err)
	}
	if left := s.counted(t); left != "[]\n" {
		t.Errorf("counters are left: %s", left)
	}
	if joined := s.join(ctx, t, sent.Group, sent.Parts[2], 3); joined != nil {
		t.Errorf("a forgotten chord is complete again: %+v", joined)
	}
}

func TestPythonFinishesADjangoChordThatGoHasAPartIn(t *testing.T) {
	t.Parallel()
	s := newDjangoSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	sent := s.apply(t)
	for range 3 {
		if joined := s.join(ctx, t, sent.Group, sent.Parts[2], 3); joined != nil {
			t.Fatalf("complete with one part: %+v", joined)
		}
	}
	s.Worker("chords", "-P", "solo", "-Q", "python")
	s.wantTotal(ctx, t, sent.Body)
	if joined := s.join(ctx, t, sent.Group, sent.Parts[2], 3); joined != nil {
		t.Errorf("complete, though Python has sent the body: %+v", joined)
	}
}

func TestPythonCountsTheChordThatGoHasOpened(t *testing.T) {
	t.Parallel()
	s := newDjangoSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s.Worker("chords", "-P", "solo", "-Q", "python")
	open := func(group string) []string {
		ids := []string{group + "1", group + "2", group + "3"}
		header := task.Ref{ID: group, Group: true, Members: []task.Ref{
			{ID: ids[0]}, {ID: group + "nested", Group: true, Members: []task.Ref{{ID: ids[1]}, {ID: ids[2]}}},
		}}
		if err := s.store.OpenChord(ctx, header); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	ids := open("python-last")
	if joined := s.join(ctx, t, "python-last", ids[2], 3); joined != nil {
		t.Fatalf("complete with one part: %+v", joined)
	}
	s.Run("import chords\nchords.members('python-last', ['python-last1', 'python-last2'], 'body')")
	s.wantTotal(ctx, t, "body")

	ids = open("go-last")
	s.Run("import chords\nchords.members('go-last', ['go-last1', 'go-last2'], 'body2')")
	waitFor(t, "Python has counted its parts", func() bool { return s.counted(t) == `[["go-last", 1]]`+"\n" })
	joined := s.join(ctx, t, "go-last", ids[2], 3)
	wantParts(t, joined, ids)
	if joined.Header == nil || len(joined.Header.Members) != 2 || len(joined.Header.Members[1].Members) != 2 {
		t.Errorf("header = %+v, want the group in it", joined.Header)
	}
}

// A task that Python has counted may run again in Go, when its message was not acknowledged: it is counted down for twice.
func TestADjangoChordWaitsForThePartsThatAreMissing(t *testing.T) {
	t.Parallel()
	s := newDjangoSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s.Worker("chords", "-P", "solo", "-Q", "python")
	sent := s.apply(t)
	waitFor(t, "Python has counted its parts", func() bool { return s.counted(t) == `[["`+sent.Group+`", 1]]`+"\n" })
	if joined := s.join(ctx, t, sent.Group, sent.Parts[0], 1); joined != nil {
		t.Errorf("complete with two parts: %+v", joined)
	}
	if left, want := s.counted(t), `[["`+sent.Group+`", 1]]`+"\n"; left != want {
		t.Errorf("counters = %s, want %s", left, want)
	}
	wantParts(t, s.join(ctx, t, sent.Group, sent.Parts[2], 3), sent.Parts)
}
