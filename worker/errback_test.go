package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/task"
)

// An errback whose parameters are (request, exc, traceback) gets them where the worker has it, any other the id.
func TestAnErrbackInTheNewerFormIsToldOfTheFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		told := task.New("told", func(_ context.Context, f task.FailedCall) (any, error) {
			r := f.Request
			log.add(fmt.Sprintf("%s %s%s%s: %v, %t", r.Task, r.ID, r.Args, r.Kwargs, f.Err(), strings.Contains(f.Traceback, "boom")))
			return nil, nil
		})
		h := start(t, plan{tasks: append(chordTasks(&log), told), limits: limitmem.New()})
		s := call("fail", "M")
		s.LinkError = []task.Signature{call("told", ""), call("errback", "")}
		body := call("body", "B0")
		body.LinkError = []task.Signature{call("told", "")}
		h.apply(chord(body, s, call("ok", "")), nil)
		time.Sleep(time.Minute)
		for _, want := range []string{
			"fail M[]{}: Exception: boom, true", `errback"M"`, `body B0nullnull: ChordError: Dependency M raised Exception('boom'), false`,
		} {
			if !strings.Contains(log.text(), want) {
				t.Errorf("%s is missing: %s", want, log.text())
			}
		}
	})
}
