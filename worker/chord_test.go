package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	planner "github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// callLog notes which tasks ran, with which arguments.
type callLog struct {
	mu   sync.Mutex
	runs []string
	seen map[string]bool // tasks with their arguments and their message's claim
}

func (l *callLog) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, text)
}

func (l *callLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.runs, ", ")
}

// messages are the tasks that ran, each as often as it ran for messages with different claims.
func (l *callLog) messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for run := range l.seen {
		text, message, _ := strings.Cut(run, " of ")
		if !strings.HasPrefix(text, "echo") && strings.HasSuffix(message, "<nil>") {
			text += " without a claim"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// task returns a task that notes its arguments and returns them.
func (l *callLog) task(name string, opts ...task.Option) task.Definition {
	return task.Raw(name, task.HandlerFunc(func(_ context.Context, req *task.Request) (any, error) {
		text := name + string(slices.Concat(req.Args...))
		l.add(text)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.seen == nil {
			l.seen = map[string]bool{}
		}
		l.seen[fmt.Sprint(text, " of ", req.ID, " ", req.Headers["taskq_claim"])] = true
		return slices.Concat(req.Args...), nil
	}), opts...)
}

func call(name, id string) task.Signature {
	return task.Signature{Task: name, CallOptions: task.CallOptions{ID: id}}
}

func chain(steps ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.chain", Type: "chain", Tasks: steps}
}

func group(members ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.group", Type: "group", Tasks: members}
}

func chord(body task.Signature, header ...task.Signature) task.Signature {
	return task.Signature{Task: "celery.chord", Type: "chord", Tasks: header, Body: &body}
}

// apply does what a client does to start a workflow. change may be nil; it sees each message before it is sent.
func (h *house) apply(s task.Signature, change func(*broker.Message)) {
	h.t.Helper()
	plan := planner.New(planner.Origin{})
	if _, err := plan.Start(s); err != nil {
		h.t.Fatal(err)
	}
	for _, c := range plan.Chords {
		if err := h.results.(result.Joiner).OpenChord(h.t.Context(), c.Header); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, s := range plan.Calls {
		msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now(), Origin: "test"})
		if err != nil {
			h.t.Fatal(err)
		}
		if change != nil {
			change(&msg)
		}
		h.publish(msg)
	}
}

// miser is a store that cannot keep the outcomes of one task.
type miser struct{ *resultmem.Backend }

func (m miser) Store(ctx context.Context, meta task.Meta) error {
	if meta.ID == "M" {
		return fmt.Errorf("miser: too large: %w", result.ErrInvalid)
	}
	return m.Backend.Store(ctx, meta)
}

// doomed are ways for a task of a chord's header to end, the task M beside one that ends well.
func doomed() map[string]struct {
	member task.Signature
	change func(*broker.Message) // of M's message
	then   func(*house)          // while it runs
	store  func(*resultmem.Backend) result.Backend
	want   string // what the body's ChordError says of M; else its argument
} {
	type ending = struct {
		member task.Signature
		change func(*broker.Message)
		then   func(*house)
		store  func(*resultmem.Backend) result.Backend
		want   string
	}
	header := func(name string, value any) func(*broker.Message) {
		return func(msg *broker.Message) { msg.Headers[name] = value }
	}
	expired := call("ok", "M")
	expired.Expires = time.Unix(1, 0)
	silent := call("ok", "M")
	silent.IgnoreResult = true
	linked := call("ok", "M")
	linked.Link = []task.Signature{{Task: "knot", Type: "knot"}}
	last := call("ok", "M")
	revokeM := func(h *house) { h.revoke("M") }
	return map[string]ending{
		"success":                       {member: call("ok", "M"), want: "[7,7]"},
		"success without a result":      {member: silent, want: "[7,7]"},
		"success acknowledged early":    {member: call("early", "M"), want: "[7,7]"},
		"ignored":                       {member: call("ignore", "M"), want: "[null,7]"},
		"failure":                       {member: call("fail", "M"), want: "Exception('boom')"},
		"failure acknowledged early":    {member: call("earlyfail", "M"), want: "Exception('boom')"},
		"failure and dead letter":       {member: call("dead", "M"), want: "Exception('boom')"},
		"no more tries":                 {member: call("retry once", "M"), want: "Exception('later')"},
		"rejected":                      {member: call("reject", "M"), want: "Reject('not mine', False)"},
		"panic":                         {member: call("panic", "M"), want: "Panic('oops')"},
		"no value":                      {member: call("odd", "M"), want: "EncodeError("},
		"hard time limit":               {member: call("slow", "M"), want: "TimeLimitExceeded(1)"},
		"soft time limit":               {member: call("soft", "M"), want: "SoftTimeLimitExceeded("},
		"outcome that cannot be kept":   {member: call("ok", "M"), store: func(b *resultmem.Backend) result.Backend { return miser{b} }, want: "EncodeError("},
		"expired":                       {member: expired, want: "TaskRevokedError('expired')"},
		"unknown":                       {member: call("unknown", "M"), want: "NotRegistered('unknown')"},
		"malformed":                     {member: call("ok", "M"), change: header("eta", "soon"), want: "InvalidTaskError("},
		"unsupported":                   {member: linked, want: "NotImplementedError("},
		"revoked while it waits":        {member: task.Signature{Task: "ok", CallOptions: task.CallOptions{ID: "M", Countdown: time.Minute}}, then: revokeM, want: "TaskRevokedError('revoked')"},
		"terminated":                    {member: call("until told", "M"), then: func(h *house) { h.revoke("M", task.Terminate("")) }, want: "TaskRevokedError('terminated')"},
		"in a batch":                    {member: task.Signature{Task: "batch", Args: []any{1}, CallOptions: task.CallOptions{ID: "M"}}, want: "Exception('one')"},
		"duplicate":                     {member: call("unique", "M"), want: "TaskRevokedError('duplicate of other')"},
		"end of a chain":                {member: chain(call("ok", ""), task.Signature{Task: "echo", CallOptions: task.CallOptions{ID: "M"}}), want: "[7,7]"},
		"chain whose first step fails":  {member: chain(call("fail", ""), last), want: "Exception('boom')"},
		"chain with an ignored step":    {member: chain(call("ignore", ""), last), want: "[null,7]"},
		"chain with an unknown step":    {member: chain(call("unknown", ""), call("ok", ""), last), want: "NotRegistered('unknown')"},
		"chain with a revoked step":     {member: chain(task.Signature{Task: "ok", CallOptions: task.CallOptions{ID: "S", Countdown: time.Minute}}, last), then: func(h *house) { h.revoke("S") }, want: "TaskRevokedError('revoked')"},
		"chain with a chord that fails": {member: chain(group(call("fail", "F"), call("ok", "")), call("ok", "B"), last), want: `ChordError("Dependency F raised Exception('boom')")`},
		"chord":                         {member: chord(task.Signature{Task: "echo", CallOptions: task.CallOptions{ID: "M"}}, call("ok", ""), call("ok", "")), want: "[[7,7],7]"},
	}
}

func chordTasks(log *callLog) []task.Definition {
	once := task.Retry(task.RetryPolicy{Max: 1, If: func(error) bool { return true }})
	return append(endings(),
		log.task("body"), log.task("errback"), log.task("echo"),
		task.New("earlyfail", func(context.Context, none) (any, error) { return nil, errors.New("boom") }, task.AckEarly()),
		task.New("retry once", func(context.Context, none) (any, error) { return nil, errors.New("later") }, once),
		task.New("soft", func(ctx context.Context, _ none) (any, error) { <-ctx.Done(); return nil, ctx.Err() }, task.SoftTimeLimit(time.Second)),
		task.New("until told", func(ctx context.Context, _ none) (any, error) { <-ctx.Done(); return nil, ctx.Err() }),
		task.New("unique", func(context.Context, none) (int, error) { return 7, nil }, task.Unique(task.PerTask(), time.Hour, task.Both)),
		task.NewBatch("batch", func(_ context.Context, calls []*task.BatchCall[int, int]) error {
			for _, c := range calls {
				c.Fail(errors.New("one"))
			}
			return nil
		}),
	)
}

// However a task of a header ends, its chord does: with the list of the results, or with a ChordError that says why, and no later than
// the task.
func TestEveryEndOfATaskSettlesItsChord(t *testing.T) {
	t.Parallel()
	for name, test := range doomed() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log callLog
				store := resultmem.New(resultmem.Config{})
				p := plan{tasks: chordTasks(&log), results: store, limits: limitmem.New()}
				if test.store != nil {
					p.results = test.store(store)
				}
				h := start(t, p)
				if name == "duplicate" {
					claim := limit.Claim{Key: limit.TaskKey(limit.KindUnique, "unique", ""), Owner: "other", Places: 1, TTL: time.Hour}
					if _, err := p.limits.Acquire(t.Context(), claim); err != nil {
						t.Fatal(err)
					}
				}
				body := call("body", "B0")
				body.LinkError = []task.Signature{call("errback", "E")}
				h.apply(chord(body, test.member, call("ok", "G")), func(msg *broker.Message) {
					if test.change != nil && msg.Headers["id"] == "M" {
						test.change(msg)
					}
				})
				synctest.Wait()
				if test.then != nil {
					test.then(h)
				}
				h.wantChord(&log, test.want)
			})
		})
	}
}

// wantChord compares what came of the chord whose body is B0 and whose errback E.
func (h *house) wantChord(log *callLog, want string) {
	h.t.Helper()
	began := time.Now()
	meta := h.outcome("B0")
	if took := time.Since(began); took > 10*time.Minute {
		h.t.Errorf("it took %s", took)
	}
	time.Sleep(time.Minute)
	if strings.HasPrefix(want, "[") {
		if got := log.text(); string(meta.Result) != want || !strings.HasSuffix(got, "body"+want) || strings.Contains(got, "errback") {
			h.t.Errorf("body returned %s, %v; ran: %s; want %s", meta.Result, meta.Err(), got, want)
		}
		return
	}
	remote := h.wantFailure("B0", "ChordError")
	if want := "Dependency M raised " + want; !strings.HasPrefix(remote.Message, want) {
		h.t.Errorf("ChordError %s, want %s", remote.Message, want)
	}
	if got := log.text(); !strings.HasSuffix(got, `errback"B0"`) || strings.Contains(got, "body") {
		h.t.Errorf("ran: %s; want the errback with the id of the body", got)
	}
	h.wantWaiting(queue, 0)
}
