package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
)

// three is the header of a chord of the tasks a, b and c.
func three(group string) task.Ref {
	return task.Ref{ID: group, Group: true, Members: []task.Ref{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
}

func joinChord(t *testing.T, b *redis.Backend, group string, index int, id string) *result.Joined {
	t.Helper()
	joined, err := b.JoinChord(t.Context(), result.ChordPart{
		Index: index, Meta: task.Meta{ID: id, GroupID: group, State: task.Success, Result: codec.Raw(strconv.Itoa(index))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// A Celery client writes the size just before it sends the last task of the header: the others may have ended by then.
func TestTheSizeOfAChordMayComeAfterItsParts(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	for i, id := range []string{"a", "b"} {
		if joined := joinChord(t, b, "g", i, id); joined != nil {
			t.Errorf("complete with %s: %+v", id, joined)
		}
	}
	do(t, address, "SETEX", "celery-taskset-meta-g.s", "100", "3")
	if joined := joinChord(t, b, "g", 2, "c"); joined == nil || len(joined.Parts) != 3 {
		t.Errorf("joined = %+v, want three parts", joined)
	}
}

// A Python worker notes a task that it runs again, with another outcome, as another one.
func TestATaskThatCeleryCountedTwiceDoesNotCompleteAChord(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	if err := b.OpenChord(t.Context(), three("g")); err != nil {
		t.Fatal(err)
	}
	do(t, address, "ZADD", "celery-taskset-meta-g.j", "0", `[1, "a", "SUCCESS", 0]`, "0", `[1, "a", "SUCCESS", 17]`)
	if joined := joinChord(t, b, "g", 0, "a"); joined != nil {
		t.Errorf("complete with one task: %+v", joined)
	}
	if joined := joinChord(t, b, "g", 1, "b"); joined != nil {
		t.Errorf("complete with two tasks: %+v", joined)
	}
	joined := joinChord(t, b, "g", 2, "c")
	if joined == nil || len(joined.Parts) != 3 || string(joined.Parts[0].Result) != "0" {
		t.Errorf("joined = %+v, want three parts", joined)
	}
}

// A task that ran in Python first and here again is one.
func TestATaskThatPythonNotedIsNotNotedAgain(t *testing.T) {
	t.Parallel()
	for _, part := range []string{`[1, "a", "SUCCESS", "another outcome"]`, `[1,"a","SUCCESS","another outcome"]`} {
		address := testserver.Redis(t)
		b := opened(t, redis.Config{URL: address})
		do(t, address, "ZADD", "celery-taskset-meta-g.j", "0", part)
		joinChord(t, b, "g", 0, "a")
		if got := do(t, address, "ZRANGE", "celery-taskset-meta-g.j", "0", "-1"); got != part {
			t.Errorf("parts:\n%s\nwant\n%s", got, part)
		}
	}
}

func TestAddedTasksAreCountedWhereCeleryLooks(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address, Expires: time.Hour})
	do(t, address, "INCR", "celery-taskset-meta-g.t") // by Celery's add_to_chord
	for range 2 {
		if err := b.GrowChord(t.Context(), "g", "x", "y"); err != nil {
			t.Fatal(err)
		}
	}
	if got := do(t, address, "GET", "celery-taskset-meta-g.t"); got != "3" {
		t.Errorf("%s tasks were added, want 3", got)
	}
	do(t, address, "EXPIRE", "celery-taskset-meta-g.a", "10")
	joinChord(t, b, "g", 0, "a") // a chord is kept from its last part on
	for _, suffix := range []string{".j", ".t", ".a"} {
		if ttl, err := strconv.Atoi(do(t, address, "TTL", "celery-taskset-meta-g"+suffix)); err != nil || ttl < 3000 || ttl > 3600 {
			t.Errorf("%s is kept for %d s, want an hour: %v", suffix, ttl, err)
		}
	}
	if err := b.ForgetChord(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if left := do(t, address, "KEYS", "*"); left != "" {
		t.Errorf("left of the chord: %s", left)
	}
}

func TestAClaimIsKeptAsLongAsAnOutcomeAndADayWhereThoseNeverExpire(t *testing.T) {
	t.Parallel()
	for expires, want := range map[time.Duration]int{0: 86400, -1: 86400, time.Hour: 3600} {
		address := testserver.Redis(t)
		b := opened(t, redis.Config{URL: address, Expires: expires})
		for range 2 {
			if first, err := b.ClaimBody(t.Context(), "body", "c"); err != nil || !first {
				t.Errorf("claim = %t, %v", first, err)
			}
			keys := strings.Fields(do(t, address, "KEYS", "*"))
			if len(keys) != 1 {
				t.Fatalf("keys: %v", keys)
			}
			if ttl, err := strconv.Atoi(do(t, address, "TTL", keys[0])); err != nil || ttl > want || ttl < want-100 {
				t.Errorf("%s: kept for %d s, want %d: %v", expires, ttl, want, err)
			}
			do(t, address, "EXPIRE", keys[0], "10") // who asks again has it kept again
		}
	}
}

func TestAChordWhosePartsAreAListNamesTheSetting(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	do(t, address, "RPUSH", "celery-taskset-meta-g.j", `[1, "a", "SUCCESS", 0]`)
	_, err := b.JoinChord(t.Context(), result.ChordPart{Index: 1, Meta: task.Meta{ID: "b", GroupID: "g", State: task.Success}})
	if !errors.Is(err, result.ErrAccess) || !strings.Contains(fmt.Sprint(err), "result_chord_ordered") {
		t.Errorf("err = %v, want ErrAccess that names result_chord_ordered", err)
	}
}

func TestPartsThatAreNotJSONAreRefused(t *testing.T) {
	t.Parallel()
	b := opened(t, redis.Config{URL: testserver.Redis(t)})
	part := result.ChordPart{Meta: task.Meta{ID: "a", GroupID: "g", State: task.Success, Codec: otherJSON{}}}
	if _, err := b.JoinChord(t.Context(), part); !errors.Is(err, result.ErrInvalid) {
		t.Errorf("err = %v, want ErrInvalid", err)
	}
}

// otherJSON stands for a codec that is not JSON.
type otherJSON struct{ codec.JSON }

func (otherJSON) ContentType() string { return "application/x-other" }

// A group that Python saved for its header, and one that anybody saved under the same id, which has no groups in it.
func TestAChordHasTheStructureOfItsSavedGroup(t *testing.T) {
	t.Parallel()
	b := opened(t, redis.Config{URL: testserver.Redis(t)})
	nested := task.Ref{ID: "nested", Group: true, Members: []task.Ref{{ID: "c"}, {ID: "h", Group: true, Members: []task.Ref{{ID: "a"}, {ID: "b"}}}}}
	for _, header := range []task.Ref{three("flat"), nested} {
		if err := b.SaveGroup(t.Context(), header); err != nil {
			t.Fatal(err)
		}
		if err := b.OpenChord(t.Context(), header); err != nil {
			t.Fatal(err)
		}
		var joined *result.Joined
		if err := b.GrowChord(t.Context(), header.ID, "0"); err != nil {
			t.Fatal(err)
		}
		for _, id := range append([]string{"0"}, header.Tasks()...) {
			joined = joinChord(t, b, header.ID, -1, id) // places would put them in order
		}
		var want *task.Ref
		if header.ID == "nested" {
			want = &nested
		}
		if joined == nil {
			t.Fatalf("%s is not complete", header.ID)
		}
		if diff := cmp.Diff(want, joined.Header); diff != "" {
			t.Errorf("%s (-want +got):\n%s", header.ID, diff)
		}
		var got []string
		for _, part := range joined.Parts {
			got = append(got, part.ID)
		}
		if diff := cmp.Diff(append(header.Tasks(), "0"), got); want != nil && diff != "" {
			t.Errorf("parts (-want +got):\n%s", diff)
		}
	}
}
