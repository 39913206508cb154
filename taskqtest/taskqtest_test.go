package taskqtest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/taskqtest"
)

type letter struct {
	To   string `task:"to"`
	Text string `task:"text,optional"`
}

// post is a task that delivers letters, at the try that it is told to succeed at.
type post struct {
	mu        sync.Mutex
	tries     []time.Time
	delivered []string
	failures  int
	hold      chan struct{} // closed lets letters through; nil: at once
}

func (p *post) task(opts ...task.Option) *task.Task[letter, string] {
	return task.New("mail.send", func(ctx context.Context, l letter) (string, error) {
		if p.hold != nil {
			<-p.hold
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tries = append(p.tries, time.Now())
		if len(p.tries) <= p.failures {
			return "", errors.New("the office is closed")
		}
		p.delivered = append(p.delivered, l.To)
		return "delivered to " + l.To, nil
	}, opts...)
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestADayOfRetriesAndDelaysTakesNoTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		p := &post{failures: 23}
		send := p.task(task.Retry(task.RetryPolicy{Max: -1, Delay: time.Hour}))
		app := taskqtest.New(t, taskq.Config{}, send)
		start := time.Now()
		r, err := send.Send(t.Context(), app, letter{To: "ada"}, task.Countdown(30*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		app.Run(t)
		if got, err := r.Get(t.Context()); err != nil || got != "delivered to ada" {
			t.Errorf("Get = %q, %v", got, err)
		}
		if len(p.tries) != 24 {
			t.Fatalf("%d tries, want 24", len(p.tries))
		}
		for i, at := range p.tries {
			want := 30*time.Minute + time.Duration(i)*time.Hour
			if off := at.Sub(start) - want; off < 0 || off > time.Second {
				t.Errorf("try %d came %s after the call, want %s", i, at.Sub(start), want)
			}
		}
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestRequireSentFindsTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		welcome := (&post{}).task()
		signUp := task.New("users.sign_up", func(ctx context.Context, name string) (int, error) {
			sender := ctx.Value(appKey{}).(task.Sender)
			_, err := welcome.Send(ctx, sender, letter{To: name}, task.Queue("mail"), task.Countdown(time.Hour))
			return 1, err
		})
		app := taskqtest.New(t, taskq.Config{}, signUp, welcome)
		app.Use(func(next task.Handler) task.Handler {
			return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
				return next.Handle(context.WithValue(ctx, appKey{}, app), req)
			})
		})
		taskqtest.RequireNotSent(t, app, welcome)
		r, err := signUp.Send(t.Context(), app, "ada")
		if err != nil {
			t.Fatal(err)
		}
		app.Run(t)
		call := taskqtest.RequireSent(t, app, welcome, letter{To: "ada"})
		if call.Queue != "mail" || call.ParentID != r.ID() || call.Delay < 59*time.Minute || call.Delay > time.Hour {
			t.Errorf("queue %q, parent %q, delay %s", call.Queue, call.ParentID, call.Delay)
		}
		if sent := app.Sent(); len(sent) != 2 || sent[0].Name != "users.sign_up" {
			t.Errorf("sent = %v", sent)
		}
		app.ForgetSent()
		taskqtest.RequireNotSent(t, app, welcome)
	})
}

type appKey struct{}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = sprintf(format, args...)
	panic(r)
}

func TestRequirementsThatAreNotMetSayWhatWasSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		send := (&post{}).task()
		app := taskqtest.New(t, taskq.Config{}, send)
		if _, err := send.Send(t.Context(), app, letter{To: "ada"}); err != nil {
			t.Fatal(err)
		}
		missing := fails(t, func(t testing.TB) { taskqtest.RequireSent(t, app, send, letter{To: "bob"}) })
		wantIn(t, missing, "mail.send was not called with {To:bob Text:}", "mail.send('ada') to queue celery")
		unwanted := fails(t, func(t testing.TB) { taskqtest.RequireNotSent(t, app, send) })
		wantIn(t, unwanted, "mail.send was called")
		wrong := fails(t, func(t testing.TB) { taskqtest.New(t, taskq.Config{BrokerURL: "amqp://"}) })
		wantIn(t, wrong, "leave that to New")
		app.Run(t)
	})
}

func TestARetryIsTheSameCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &post{failures: 2}
		send := p.task(task.Retry(task.RetryPolicy{Delay: time.Minute}))
		app := taskqtest.New(t, taskq.Config{}, send)
		if _, err := send.Send(t.Context(), app, letter{To: "ada"}); err != nil {
			t.Fatal(err)
		}
		app.Run(t)
		if calls := taskqtest.SentTo(t, app, send); len(calls) != 1 || len(p.tries) != 3 {
			t.Errorf("%d calls, %d tries, want 1 and 3", len(calls), len(p.tries))
		}
	})
}

func TestWhatABrokenConnectionCostsComesAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &post{hold: make(chan struct{})}
		send := p.task()
		app := taskqtest.New(t, taskq.Config{}, send)
		r, err := send.Send(t.Context(), app, letter{To: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		app.Start(t)
		synctest.Wait() // the task runs
		app.Faults.Cut()
		close(p.hold)
		app.Wait(t)
		if _, err := r.Get(t.Context()); err != nil {
			t.Error(err)
		}
		if len(p.delivered) != 2 {
			t.Errorf("delivered %v, want it twice: once before and once after the cut", p.delivered)
		}
	})
}

func TestABrokerThatIsDownHoldsUpAndLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &post{}
		send := p.task()
		app := taskqtest.New(t, taskq.Config{}, send)
		app.Start(t)
		app.Faults.Down()
		_, err := send.Send(t.Context(), app, letter{To: "bob"}, task.FailFast())
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Send = %v, want ErrUnavailable", err)
		}
		time.AfterFunc(time.Hour, app.Faults.Up)
		start := time.Now()
		if _, err := send.Send(t.Context(), app, letter{To: "ada"}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != time.Hour {
			t.Errorf("Send waited for %s, want 1h", waited)
		}
		app.Wait(t)
		if len(p.delivered) != 1 || p.delivered[0] != "ada" {
			t.Errorf("delivered %v", p.delivered)
		}
	})
}

func TestFaultsOfPublishing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &post{}
		send := p.task()
		app := taskqtest.New(t, taskq.Config{}, send)
		app.Faults.RefusePublish(1)
		if _, err := send.Send(t.Context(), app, letter{To: "a"}, task.FailFast()); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUnconfirmed) {
			t.Errorf("refused: %v", err)
		}
		app.Faults.LoseConfirms(1)
		if _, err := send.Send(t.Context(), app, letter{To: "b"}, task.FailFast()); !errors.Is(err, broker.ErrUnconfirmed) {
			t.Errorf("unconfirmed: %v", err)
		}
		app.Faults.Duplicate(1)
		if _, err := send.Send(t.Context(), app, letter{To: "c"}); err != nil {
			t.Error(err)
		}
		app.Run(t)
		counts := map[string]int{}
		for _, to := range p.delivered {
			counts[to]++
		}
		if counts["a"] != 0 || counts["b"] != 1 || counts["c"] != 2 {
			t.Errorf("delivered %v, want a 0, b 1, c 2 times", counts)
		}
	})
}

func TestOutcomesWaitForTheResultStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &post{}
		send := p.task()
		app := taskqtest.New(t, taskq.Config{}, send)
		app.Faults.RefuseResults(3)
		r, err := send.Send(t.Context(), app, letter{To: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		app.Run(t)
		if state, err := r.State(t.Context()); err != nil || state != task.Success || len(p.tries) != 1 {
			t.Errorf("state %s, %v after %d tries, want SUCCESS after 1", state, err, len(p.tries))
		}
	})
}

func TestWithoutABubbleTimeIsReal(t *testing.T) {
	t.Parallel()
	p := &post{failures: 1}
	send := p.task(task.Retry(task.RetryPolicy{Delay: 10 * time.Millisecond}))
	app := taskqtest.New(t, taskq.Config{}, send)
	r, err := send.Send(t.Context(), app, letter{To: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	app.Run(t)
	if got, err := r.Get(t.Context()); err != nil || got != "delivered to ada" {
		t.Errorf("Get = %q, %v", got, err)
	}
}
