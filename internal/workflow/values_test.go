package workflow_test

import (
	"math/rand/v2"
	"testing"

	"github.com/seed-399731e2/taskq/internal/workflow"
)

// The values are those that clients and workers of Celery 5.6 came to with the same workflows over a Redis store, chains given as
// lists of steps, but where a comment says otherwise.
func TestWorkflowsComeToWhatCelerysDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ workflow, want string }{
		{"[a b]>E", "E([a() b()])"},
		{"[{a b}]>E", "E([a() b()])"}, // Celery: b first, it turns groups in headers round
		{"[a {b c} d]>E", "E([a() b() c() d()])"},
		{"[{a b} c]>E", "E([a() b() c()])"},
		{"[{a {b c}} d]>E", "E([a() b() c() d()])"},
		{"[(a|b) c]>E", "E([b(a()) c()])"},
		{"[(a|{b c})]>E", "E([[b(a()) c(a())]])"},
		{"[(a|{b c}) d]>E", "E([[b(a()) c(a())] d()])"},
		{"[(a|{b {c d}}) e]>E", "E([[b(a()) c(a()) d(a())] e()])"}, // Celery: d before c
		{"[(a|{b}) c]>E", "E([b(a()) c()])"},
		{"[({a b})]>E", "E([[a() b()]])"},
		{"[({a b}) c]>E", "E([[a() b()] c()])"},
		{"[({a b}|c) d]>E", "E([c([a() b()]) d()])"},
		{"[[a b]>c d]>E", "E([c([a() b()]) d()])"},
		{"[[a b]>{c d} e]>E", "E([[c([a() b()]) d([a() b()])] e()])"},
		{"[[a b]>(c|d) e]>E", "E([d(c([a() b()])) e()])"},
		{"[[a b]>(c|{d e}) f]>E", "E([[d(c([a() b()])) e(c([a() b()]))] f()])"}, // Celery 5.2 never ends
		{"[(a|[b c]>d) e]>E", "E([d([b(a()) c(a())]) e()])"},
		{"[(a|[b c]>{d e}) f]>E", "E([[d([b(a()) c(a())]) e([b(a()) c(a())])] f()])"},
		{"[{(a|{b c}) d} e]>E", "E([[b(a()) c(a())] d() e()])"}, // Celery: d first
		{"[[a b]>[c d]>e f]>E", "E([e([c([a() b()]) d([a() b()])]) f()])"},
		{"[{} a]>E", "E([a()])"},
		{"[{}]>E", "E([])"},
		{"[]>E", "E([])"},
		{"[(a|{}) b]>E", "E([a() b()])"}, // Celery never ends
		{"[({}) b]>E", "E([[] b()])"},
		{"[({})]>E", "E([[]])"}, // Celery never ends
		{"({a b}|E)", "E([a() b()])"},
		{"({a}|E)", "E(a())"},
		{"(a|{b c}|E)", "E([b(a()) c(a())])"},
		{"(a|{b}|E)", "E(b(a()))"},
		{"(a|{b c}|{d e}|E)", "E([d([b(a()) c(a())]) e([b(a()) c(a())])])"},
		{"(a|{}|E)", "E(a())"},                                              // Celery's client sends E [], its worker leaves the group out as well
		{"({a b}|{c d})", "[c([a() b()]) d([a() b()])]"},                    // Celery never ends
		{"(a|[b c]>{d e}|E)", "E([d([b(a()) c(a())]) e([b(a()) c(a())])])"}, // Celery calls E for d and for e
		{"([a b]>{c}|E)", "E([c([a() b()])])"},                              // Celery calls E for c
		{"([a b]>{}|E)", "E([])"},                                           // Celery fails
		{"(a|[b c]>d|E)", "E(d([b(a()) c(a())]))"},
		{"({a b}|E|{c d}|F|{e f}|G)", "G([e(F([c(E([a() b()])) d(E([a() b()]))])) f(F([c(E([a() b()])) d(E([a() b()]))]))])"}, // Celery never ends
		{"{a {b c}}", "[a() b() c()]"},
		{"{(a|{b c}) d}", "[[b(a()) c(a())] d()]"},
		{"{({a b}) c}", "[[a() b()] c()]"},
		{"[a]>{b c}", "[b([a()]) c([a()])]"},
		{"[a b]>({c d}|E)", "E([c([a() b()]) d([a() b()])])"}, // Celery calls c and d without the list
	} {
		m := newMachine(t, rand.New(rand.NewPCG(1, 2))) //nolint:gosec // reproducible
		s := parse(t, test.workflow)
		plan := workflow.New(workflow.Origin{})
		ref, err := plan.Start(s)
		if err != nil {
			t.Errorf("%s: %v", test.workflow, err)
			continue
		}
		m.carryOut(plan)
		m.run()
		if got := text(m.value(ref)); got != test.want {
			t.Errorf("%s = %s, want %s", notation(s), got, test.want)
		}
	}
}
