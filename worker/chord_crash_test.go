package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker/mem"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// crashing are chords whose workers die: what their body gets, "" for one that fails.
func crashing() map[string]struct {
	chord task.Signature
	runs  string
} {
	body := task.Signature{Task: "body", CallOptions: task.CallOptions{ID: "B", LinkError: []task.Signature{call("errback", "")}}}
	after := chain(group(call("ok", "1"), call("ok", "2"), call("ok", "3")), body, call("echo", "Z"))
	return map[string]struct {
		chord task.Signature
		runs  string
	}{
		"three tasks":                         {chord(body, call("ok", "1"), call("ok", "2"), call("ok", "3")), "body[7,7,7]"},
		"one fails":                           {chord(body, call("ok", "1"), call("fail", "2"), call("ok", "3")), `errback"B"`},
		"a chain in it":                       {chord(body, call("ok", "1"), chain(call("ok", ""), call("echo", "2")), call("ok", "3")), "body[7,7,7], echo7"},
		"a group at the end of a chain in it": {chord(body, call("ok", "1"), chain(call("ok", ""), group(call("echo", "2"), call("echo", "3")))), "body[7,[7,7]], echo7, echo7"},
		"a chord in it":                       {chord(body, call("ok", "1"), chord(call("echo", "2"), call("ok", "3"), call("ok", "4"))), "body[7,[7,7]], echo[7,7]"},
		"something follows":                   {after, "body[7,7,7], echo[7,7,7]"},
	}
}

// However far a worker comes before it dies, the next one brings the chord to its end: the body, or its errback, runs once, with the
// results of all tasks.
func TestAChordIsCompletedOnceWhereverItsWorkerDies(t *testing.T) {
	t.Parallel()
	for name, test := range crashing() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for deeds, done := 0, false; !done && !t.Failed(); deeds++ {
				t.Run(fmt.Sprint("after ", deeds), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { done = outlive(t, test.chord, test.runs, deeds) })
				})
			}
		})
	}
}

// outlive has a worker die after so many deeds, and reports whether it had done all.
func outlive(t *testing.T, s task.Signature, runs string, deeds int) (done bool) {
	t.Helper()
	var log callLog
	j := &journal{left: -1}
	store := resultmem.New(resultmem.Config{})
	p := plan{limits: limitmem.New(), tasks: chordTasks(&log), wrap: j.watchBroker, server: mem.NewServer(), results: watchedJoiner{watchedStore{store, j}, store}}
	first := start(t, p)
	j.allow(deeds)
	first.results = store // of the client, which does not die
	first.apply(s, nil)
	time.Sleep(time.Minute)
	before := j.text()
	_ = first.stop()
	done = j.spare()
	j.allow(-1)
	second := start(t, p)
	time.Sleep(10 * time.Minute)
	second.wantWaiting(queue, 0)
	if diff := cmp.Diff(strings.Split(runs, ", "), log.messages()); diff != "" {
		t.Errorf("messages that ran (-want +got):\n%s\nbefore the crash: %s\nall: %s", diff, before, j.text())
	}
	return done
}
