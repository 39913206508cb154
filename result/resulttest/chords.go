package resulttest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// chordTests are for a store that counts chords; another one passes them.
func chordTests() map[string]func(*testing.T, Harness) {
	tests := map[string]func(*testing.T, Harness){}
	for name, test := range map[string]func(*testing.T, joiners){
		"AChordOfThreeIsCompleteAfterThree":               testChord,
		"ATaskNotedTwiceCountsOnce":                       testNotedTwice,
		"ATaskNotedTwiceWithAnotherOutcomeCountsOnce":     testNotedOtherwise,
		"ATaskThatDoesNotSayItsPlaceCountsOnce":           testPlaceless,
		"WhoeverNotesAgainIsToldAgain":                    testToldAgain,
		"NothingCompletesAChordAfterForget":               testAfterForget,
		"AForgottenChordCanBeOpenedAgain":                 testReopened,
		"HeadersWithGroupsKeepTheirStructure":             testStructure,
		"GrownChordsWaitForAll":                           testGrown,
		"GrowingTwiceCountsOnce":                          testGrownTwice,
		"OpeningTwiceChangesNothing":                      testOpenedTwice,
		"ChordsAreSeparate":                               testChordsSeparate,
		"PartsKeepTheirOrder":                             testOrder,
		"FailedPartsAreToldAsTheyAre":                     testOutcomes,
		"JoinsGrowthAndForgettingAtOnceHinderNobody":      testEverythingAtOnce,
		"ManyJoinOneChordAtOnce":                          testManyJoin,
		"TheFirstClaimWinsEachTime":                       testClaim,
		"ClaimsAreSeparate":                               testClaimsSeparate,
		"OneOfManyClaimsWins":                             testManyClaim,
		"ChordsThatCannotBeNotedAreRefused":               testBadChords,
		"AClosedStoreCountsNoChords":                      testChordsClosed,
		"JoinsOfAnOutageAreMadeGoodLater":                 testChordOutage,
		"AnUnknownChordIsNotComplete":                     testUnknownChord,
		"ALargePartIsKept":                                testLargePart,
		"ThePartsThatAreToldAreThoseOfTheChordAndNoOther": testForeignOutcomes,
	} {
		tests[name] = func(t *testing.T, h Harness) {
			here, there := pair(t, h)
			if first, ok := here.(result.Joiner); ok {
				test(t, joiners{h: h, here: first, there: there.(result.Joiner)})
			}
		}
	}
	tests["ALatePartDoesNotCompleteAnExpiredChord"] = testChordExpiry
	tests["ClaimsExpire"] = testClaimExpiry
	tests["CleanupDropsWhatHasExpired"] = testCleanup
	return tests
}

// Strangers checks that a task which is not of a header leaves its chord alone. Redis cannot tell: Celery keeps there how
// many tasks a header has, and not which.
func Strangers(t *testing.T, j result.Joiner) {
	t.Helper()
	ref := header(t, j, 2)
	waits(t, j, part(ref, 0))
	stranger := ref
	stranger.Members = []task.Ref{ref.Members[0], {ID: uuid.NewString()}}
	waits(t, j, part(stranger, 1))
	completes(t, j, part(ref, 1), "0", "1")
}

// joiners are two Backends on one store.
type joiners struct {
	h           Harness
	here, there result.Joiner
}

// header opens a chord of so many tasks, whose ids are those of the header.
func header(t *testing.T, j result.Joiner, tasks int) task.Ref {
	t.Helper()
	ref := task.Ref{ID: uuid.NewString(), Group: true}
	for range tasks {
		ref.Members = append(ref.Members, task.Ref{ID: uuid.NewString()})
	}
	openChord(t, j, ref)
	return ref
}

func openChord(t *testing.T, j result.Joiner, header task.Ref) {
	t.Helper()
	if err := j.OpenChord(t.Context(), header); err != nil {
		t.Fatalf("open: %v", err)
	}
}

// part is what came of the i-th task of a header: its number.
func part(header task.Ref, i int) result.ChordPart {
	m := success(header.Tasks()[i], fmt.Sprint(i))
	m.GroupID = header.ID
	return result.ChordPart{Meta: m, Index: i}
}

// join stores an outcome and notes it, as a worker does.
func join(t *testing.T, j result.Joiner, p result.ChordPart) *result.Joined {
	t.Helper()
	store(t, j.(result.Backend), p.Meta)
	joined, err := j.JoinChord(t.Context(), p)
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	return joined
}

// waits notes a task and wants the chord to wait for others.
func waits(t *testing.T, j result.Joiner, p result.ChordPart) {
	t.Helper()
	if joined := join(t, j, p); joined != nil {
		t.Errorf("complete with task %d: %+v", p.Index, joined.Parts)
	}
}

// completes notes a task and wants these results to come of the header.
func completes(t *testing.T, j result.Joiner, p result.ChordPart, results ...string) *result.Joined {
	t.Helper()
	joined := join(t, j, p)
	if joined == nil {
		t.Fatalf("not complete with task %d", p.Index)
	}
	var got []string
	for _, part := range joined.Parts {
		got = append(got, string(part.Result))
	}
	if diff := cmp.Diff(results, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	return joined
}

func forgetChord(t *testing.T, j result.Joiner, group string) {
	t.Helper()
	if err := j.ForgetChord(t.Context(), group); err != nil {
		t.Fatalf("forget: %v", err)
	}
}

func testChord(t *testing.T, j joiners) {
	ref := header(t, j.here, 3)
	waits(t, j.here, part(ref, 2))
	waits(t, j.there, part(ref, 0))
	if joined := completes(t, j.there, part(ref, 1), "0", "1", "2"); joined.Header != nil {
		t.Errorf("header = %+v, want none: there is no group in it", joined.Header)
	}
}

func testNotedTwice(t *testing.T, j joiners) {
	ref := header(t, j.here, 2)
	for range 3 {
		waits(t, j.here, part(ref, 0))
		waits(t, j.there, part(ref, 0))
	}
	completes(t, j.here, part(ref, 1), "0", "1")
}

func testNotedOtherwise(t *testing.T, j joiners) {
	ref := header(t, j.here, 3)
	waits(t, j.here, part(ref, 1))
	for i := range 3 {
		other := part(ref, 1)
		other.Result = codec.Raw(fmt.Sprint(100 + i))
		waits(t, j.there, other)
		other.Meta = failure(other.ID)
		other.GroupID = ref.ID
		waits(t, j.here, other)
	}
	waits(t, j.here, part(ref, 0))
	completes(t, j.there, part(ref, 2), "0", "1", "2")
}

func testPlaceless(t *testing.T, j joiners) {
	ref := header(t, j.here, 3)
	placeless := func(i, result int) result.ChordPart {
		p := part(ref, i)
		p.Index, p.Result = -1, codec.Raw(fmt.Sprint(result))
		return p
	}
	waits(t, j.here, placeless(0, 0))
	waits(t, j.there, placeless(0, 10))
	waits(t, j.here, placeless(1, 1))
	waits(t, j.there, placeless(1, 11))
	joined := join(t, j.here, placeless(2, 2))
	if joined == nil || len(joined.Parts) != 3 {
		t.Fatalf("joined = %+v, want 3 parts", joined)
	}
	for _, p := range joined.Parts {
		if len(p.Result) != 1 {
			t.Errorf("%s is the second outcome of its task", p.Result)
		}
	}
}

func testToldAgain(t *testing.T, j joiners) {
	ref := header(t, j.here, 2)
	waits(t, j.here, part(ref, 0))
	completes(t, j.here, part(ref, 1), "0", "1")
	for i := range 2 {
		completes(t, j.there, part(ref, i), "0", "1")
		completes(t, j.here, part(ref, i), "0", "1")
	}
}

func testAfterForget(t *testing.T, j joiners) {
	ref := header(t, j.here, 2)
	waits(t, j.here, part(ref, 0))
	completes(t, j.there, part(ref, 1), "0", "1")
	for range 2 {
		forgetChord(t, j.here, ref.ID)
		for i := range 2 {
			waits(t, j.here, part(ref, i))
			waits(t, j.there, part(ref, i))
		}
	}
	if err := j.here.GrowChord(t.Context(), ref.ID, uuid.NewString()); err != nil {
		t.Errorf("grow: %v", err)
	}
	waits(t, j.here, part(ref, 1))
	forgetChord(t, j.there, uuid.NewString())
}

func testReopened(t *testing.T, j joiners) {
	ref := header(t, j.here, 2)
	waits(t, j.here, part(ref, 0))
	completes(t, j.here, part(ref, 1), "0", "1")
	forgetChord(t, j.here, ref.ID)
	openChord(t, j.there, ref)
	waits(t, j.here, part(ref, 1))
	completes(t, j.there, part(ref, 0), "0", "1")
}

func testStructure(t *testing.T, j joiners) {
	ref := task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{
		{ID: uuid.NewString()},
		{ID: uuid.NewString(), Group: true, Members: []task.Ref{
			{ID: uuid.NewString()}, {ID: uuid.NewString(), Group: true, Members: []task.Ref{{ID: uuid.NewString()}}},
		}},
		{ID: uuid.NewString()},
	}}
	openChord(t, j.here, ref)
	for i := range 3 {
		waits(t, j.here, part(ref, i))
	}
	joined := completes(t, j.there, part(ref, 3), "0", "1", "2", "3")
	if diff := cmp.Diff(&ref, joined.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func testGrown(t *testing.T, j joiners) {
	ref := header(t, j.here, 1)
	ids := []string{uuid.NewString(), uuid.NewString()}
	for _, id := range ids {
		if err := j.there.GrowChord(t.Context(), ref.ID, id); err != nil {
			t.Fatal(err)
		}
		ref.Members = append(ref.Members, task.Ref{ID: id})
	}
	placeless := func(i int) result.ChordPart {
		p := part(ref, i)
		p.Index = -1
		return p
	}
	waits(t, j.here, placeless(1))
	waits(t, j.here, part(ref, 0))
	joined := join(t, j.there, placeless(2))
	if joined == nil || len(joined.Parts) != 3 || string(joined.Parts[0].Result) != "0" {
		t.Errorf("joined = %+v, want 3 parts, that of the header first", joined)
	}
}

func testGrownTwice(t *testing.T, j joiners) {
	ref := header(t, j.here, 1)
	ids := []string{uuid.NewString(), uuid.NewString()}
	for _, more := range [][]string{ids[:1], ids, ids, {ids[1], ids[1]}, nil} {
		for _, j := range []result.Joiner{j.here, j.there} {
			if err := j.GrowChord(t.Context(), ref.ID, more...); err != nil {
				t.Fatal(err)
			}
		}
	}
	ref.Members = append(ref.Members, task.Ref{ID: ids[0]}, task.Ref{ID: ids[1]})
	waits(t, j.here, part(ref, 0))
	waits(t, j.here, part(ref, 1))
	completes(t, j.here, part(ref, 2), "0", "1", "2")
}

func testOpenedTwice(t *testing.T, j joiners) {
	ref := header(t, j.here, 2)
	openChord(t, j.there, ref)
	waits(t, j.here, part(ref, 0))
	openChord(t, j.here, ref)
	waits(t, j.here, part(ref, 0))
	completes(t, j.there, part(ref, 1), "0", "1")
	openChord(t, j.here, ref)
	completes(t, j.there, part(ref, 1), "0", "1")
}

func testChordsSeparate(t *testing.T, j joiners) {
	a, b := header(t, j.here, 2), header(t, j.here, 1)
	waits(t, j.here, part(a, 0))
	completes(t, j.here, part(b, 0), "0")
	forgetChord(t, j.here, b.ID)
	completes(t, j.here, part(a, 1), "0", "1")
}

func testOrder(t *testing.T, j joiners) {
	const n = 25
	ref := header(t, j.here, n)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	for i := range n - 1 {
		waits(t, j.here, part(ref, (i*7)%n)) // 7 and 25 have no divisor in common: each comes once
	}
	completes(t, j.here, part(ref, ((n-1)*7)%n), want...)
}

// testOutcomes: the parts are what was noted, whatever is stored for the tasks: theirs may have been sent with ignore_result.
func testOutcomes(t *testing.T, j joiners) {
	ref := header(t, j.here, 5)
	ids := ref.Tasks()
	want := []task.Meta{
		{ID: ids[0], State: task.Success, Result: codec.Raw(`{"a": [1, 2.0, "ü\u0000"]}`)},
		{ID: ids[1], State: task.Failure, Result: codec.Raw(`{"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"}`)},
		{ID: ids[2], State: task.Revoked, Result: codec.Raw(`{"exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "celery.exceptions"}`)},
		{ID: ids[3], State: "IGNORED", Result: codec.Raw(`null`)},
		{ID: ids[4], State: task.Success, Result: codec.Raw(`null`)},
	}
	var joined *result.Joined
	for i, m := range want {
		if m.GroupID = ref.ID; i == 4 {
			m.Result = nil
		}
		var err error
		if joined, err = j.here.JoinChord(t.Context(), result.ChordPart{Meta: m, Index: i}); err != nil {
			t.Fatal(err)
		}
	}
	if joined == nil {
		t.Fatal("not complete")
	}
	for i := range joined.Parts {
		if joined.Parts[i].Codec == (codec.JSON{}) {
			joined.Parts[i].Codec = nil // which means the same
		}
		if joined.Parts[i].Result == nil {
			joined.Parts[i].Result = codec.Raw(`null`) // which means the same
		}
	}
	if diff := cmp.Diff(want, joined.Parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}
