package taskq_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// What a worker sends after a task goes the way that the application's own calls go: to the queue of the task, or the default one,
// which is declared, and after its delay; and it has the same application's defaults.
func TestWhatFollowsIsSentAsTheApplicationSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type call struct {
			queue    string
			priority uint8
			args     string
			at       time.Duration
		}
		began, calls := time.Now(), make(chan call, 5)
		see := func(name string, opts ...task.Option) task.Definition {
			return task.New(name, func(ctx context.Context, _ int) (int, error) {
				r := task.FromContext(ctx)
				calls <- call{r.Queue, r.Priority, r.ArgsRepr, time.Since(began)}
				return 0, nil
			}, opts...)
		}
		app := newApp(t, taskq.Config{
			DefaultQueue: "default", Call: task.CallOptions{Priority: 3}, Worker: worker.Options{Queues: []string{"default", "side"}},
		}, add(), see("plain"), see("sided", task.Queue("side")))
		work(t, app)
		s := add().S(pair{1, 2})
		s.Link = []task.Signature{{Task: "plain"}}
		s.Link[0].Countdown = time.Hour
		s.Chain = []task.Signature{{Task: "sided"}}
		if _, err := app.Send(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, want := <-calls, (call{"side", 3, "(3,)", 0}); got != want {
			t.Errorf("the next step: %+v, want %+v", got, want)
		}
		if got, want := <-calls, (call{"default", 3, "(3,)", time.Hour}); got != want {
			t.Errorf("the link: %+v, want %+v", got, want)
		}
	})
}

func TestAFollowUpDeclaresItsQueue(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	work(t, app)
	s := add().S(pair{1, 2})
	s.Link = []task.Signature{{Task: "elsewhere", CallOptions: task.CallOptions{Queue: "new"}}}
	result, err := app.Send(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := result.Wait(t.Context()); err != nil || meta.State != task.Success {
		t.Fatalf("outcome %s, %v", meta.State, meta.Err())
	}
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := b.(broker.Measurer).Measure(t.Context(), "new"); err != nil || stats.Messages != 1 {
		t.Errorf("queue new has %d messages, %v; want 1", stats.Messages, err)
	}
}

func TestAFollowUpThatCannotBeSentFailsItsTask(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	work(t, app)
	s := add().S(pair{1, 2})
	s.Link = []task.Signature{{Task: "link", CallOptions: task.CallOptions{Headers: map[string]any{"retries": 1}}}}
	result, err := app.Send(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := result.Wait(t.Context()); err != nil || meta.State != task.Failure {
		t.Errorf("outcome %s, %v; want a failure", meta.State, err)
	}
}

// What came in by one serializer goes out by that of the call, or of the application, and what a chain takes along with it.
func TestWhatFollowsCrossesSerializers(t *testing.T) {
	t.Parallel()
	formats := []string{"json", "msgpack", "auth"}
	got := make(chan int, 1)
	last := task.New("last", func(_ context.Context, p pair) (int, error) { got <- p.X + p.Y; return 0, nil })
	app := newApp(t, taskq.Config{Accept: formats, Auth: keys()}, add(), last)
	work(t, app)
	for _, first := range formats {
		for _, second := range formats {
			s := add().S(pair{1, 2}, task.Serializer(first))
			plus := func(name string, n int) task.Signature {
				return task.Signature{Task: name, Args: []any{n}, CallOptions: task.CallOptions{Serializer: second}}
			}
			s.Chain = []task.Signature{plus("tasks.add", 10), plus("tasks.add", 100), plus("last", 1000)}
			s.Chain[2].Serializer = ""
			result, err := app.Send(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if meta, err := result.Wait(t.Context()); err != nil || meta.State != task.Success {
				t.Fatalf("%s, %s: %s, %v", first, second, meta.State, meta.Err())
			}
			select {
			case sum := <-got:
				if sum != 1113 {
					t.Errorf("%s, %s: the chain ends with %d, want 1113", first, second, sum)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("%s, %s: the chain did not end", first, second)
			}
		}
	}
}
