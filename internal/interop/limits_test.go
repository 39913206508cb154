package interop_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// tally is when tasks started.
type tally struct {
	mu sync.Mutex
	at []time.Time
}

func (c *tally) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
}

func (c *tally) all() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Clone(c.at)
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// await waits until so many have started.
func (c *tally) await(t *testing.T, n int) []time.Time {
	t.Helper()
	deadline := time.After(2 * limit)
	for {
		if at := c.all(); len(at) >= n {
			return at
		}
		select {
		case <-deadline:
			t.Fatalf("%d of %d tasks have started", len(c.all()), n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wantSlow checks that no three seconds saw more starts than the rate allows in four.
func wantSlow(t *testing.T, at []time.Time, perSecond int) {
	t.Helper()
	for i, from := range at {
		n := 0
		for _, other := range at[i:] {
			if other.Sub(from) < 3*time.Second {
				n++
			}
		}
		if n > 4*perSecond {
			t.Fatalf("%d starts within 3 s, at %d/s", n, perSecond)
		}
	}
}

// sharing is how two workers may agree on what they start.
func sharing(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"redis": testserver.Redis(t), "postgres": testserver.Postgres(t)}
}

func quiet(url, limits string) taskq.Config {
	return taskq.Config{BrokerURL: url, LimitStore: limits, Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 2}}
}

func TestABurstFromCeleryStartsNoFasterThanTheRateAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	var limited, free tally
	slow := task.New("slow", func(context.Context, int) (int, error) { limited.note(); return 0, nil }, task.RateLimit("20/s"))
	plain := task.New("plain", func(context.Context, int) (int, error) { free.note(); return 0, nil })
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url})
	python.Run(`
from celery import Celery
app = Celery(set_as_current=True)
app.conf.task_ignore_result = True
with app.producer_pool.acquire(block=True) as producer:
    for i in range(200):
        app.send_task("slow", [i], producer=producer)
    for i in range(20):
        app.send_task("plain", [i], producer=producer)
`)
	runWorker(t, newApp(t, url, slow, plain))
	last := free.await(t, 20)[19]
	at := limited.await(t, 200)
	if n := slices.IndexFunc(at, last.Before); n < 0 || n > 150 { // the delay queues have to be declared meanwhile
		t.Errorf("%d limited tasks had started before the last of those behind them", n)
	}
	wantSlow(t, at, 20)
	t.Logf("200 tasks at 20/s in %s; the last of the others after %s", at[199].Sub(at[0]), last.Sub(at[0]))
}

func TestTwoWorkersKeepAClusterWideRateTogether(t *testing.T) {
	t.Parallel()
	for kind, store := range sharing(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			var starts tally
			slow := task.New("slow", func(context.Context, int) (int, error) { starts.note(); return 0, nil },
				task.RateLimit("20/s", task.ClusterWide()), task.IgnoreResult())
			for range 2 {
				runWorker(t, newAppOf(t, quiet(url, store), slow))
			}
			client := newApp(t, url)
			for i := range 150 {
				if _, err := slow.Send(t.Context(), client, i); err != nil {
					t.Fatal(err)
				}
			}
			at := starts.await(t, 150)
			wantSlow(t, at, 20)
			t.Logf("150 tasks at 20/s in %s", at[149].Sub(at[0]))
		})
	}
}

// parking is the client's broker, for a look at what waits in it.
func parking(t *testing.T, client *taskq.App) broker.Parking {
	t.Helper()
	b, err := client.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.(broker.Parking)
}

func TestTwoWorkersRunNoMoreAtOnceThanMay(t *testing.T) {
	t.Parallel()
	for kind, store := range sharing(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			var starts tally
			var mu sync.Mutex
			now, most, refused := map[int]int{}, 0, make(chan struct{})
			enter := func(key, by int) {
				mu.Lock()
				defer mu.Unlock()
				now[key] += by
				most = max(most, now[key])
			}
			busy := task.New("busy", func(ctx context.Context, key int) (int, error) {
				starts.note()
				enter(key, 1)
				defer enter(key, -1)
				select {
				case <-refused:
				case <-ctx.Done():
				}
				return 0, ctx.Err()
			}, task.MaxConcurrent(2, task.ClusterWide(), task.PerArgument("arg")), task.IgnoreResult())
			for range 2 {
				cfg := quiet(url, store)
				cfg.Worker.Concurrency = 8
				runWorker(t, newAppOf(t, cfg, busy))
			}
			release := sync.OnceFunc(func() { close(refused) })
			t.Cleanup(release) // before the workers end, which wait for their tasks
			client := newApp(t, url)
			for i := range 60 {
				if _, err := busy.Send(t.Context(), client, i%3); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all places are taken, and what is left is parked", func() bool {
				n := 0
				if err := parking(t, client).Parked(t.Context(), func(broker.Parked) bool { n++; return true }); err != nil {
					t.Fatal(err)
				}
				return len(starts.all()) >= 6 && n >= 30
			})
			release()
			starts.await(t, 60)
			mu.Lock()
			defer mu.Unlock()
			if most != 2 {
				t.Errorf("%d of one key ran at once, want 2", most)
			}
		})
	}
}

func TestOfFiftySendersOneSendsAUniqueCall(t *testing.T) {
	t.Parallel()
	for kind, store := range sharing(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			unique := task.New("unique", func(context.Context, string) (int, error) { return 0, nil },
				task.Unique(task.AllArguments(), time.Hour, task.Both), task.IgnoreResult())
			clients := []*taskq.App{newAppOf(t, quiet(url, store), unique), newAppOf(t, quiet(url, store), unique)}
			ids := make(chan string, 50)
			holders := make(chan string, 50)
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					r, err := unique.Send(t.Context(), clients[i%2], "a")
					duplicate, ok := errors.AsType[*task.DuplicateError](err)
					switch {
					case ok:
						holders <- duplicate.ID
					case err != nil:
						t.Error(err)
					default:
						ids <- r.ID()
					}
				})
			}
			all.Wait()
			if len(ids) != 1 || len(holders) != 49 {
				t.Fatalf("%d were sent, %d were duplicates", len(ids), len(holders))
			}
			for id := <-ids; len(holders) > 0; {
				if of := <-holders; of != id {
					t.Errorf("a duplicate of %s, want %s", of, id)
				}
			}
		})
	}
}

// Python has no keys of its own: its calls take theirs at the worker, whoever has encoded the arguments, and however.
func TestACallOfCeleryIsADuplicateOfOneFromGo(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	ends := make(chan struct{})
	began := make(chan string, 10)
	unique := task.New("shop.order", func(ctx context.Context, o order) (int, error) {
		began <- task.FromContext(ctx).ID
		<-ends
		return o.Count, nil
	}, task.Unique(task.PerArgument("item", "count"), time.Hour, task.Both))
	app := newAppOf(t, quiet(url, testserver.Redis(t)), unique)
	runWorker(t, app)
	r, err := unique.Send(t.Context(), app, order{Item: "tea", Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url})
	got := python.Run(`
from celery import Celery
from celery.exceptions import TaskRevokedError
app = Celery("client", backend="rpc://")
for args, kwargs in ((["tea", 2], {}), ([], {"count": 2.0, "item": "tea", "note": "another"})):
    try:
        app.send_task("shop.order", args, kwargs).get(timeout=20)
    except TaskRevokedError as e:
        print(e)
`)
	if want := "duplicate of " + r.ID() + "\n"; got != want+want {
		t.Errorf("Celery's caller was told %q, want %s twice", strconv.Quote(got), want)
	}
	close(ends)
}

func TestCeleryChangesTheLimitsOfGoTasks(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	var starts tally
	slow := task.New("slow", func(context.Context, int) (int, error) { starts.note(); return 0, nil }, task.RateLimit("1/h"))
	app := newAppWith(t, url, worker.Options{Concurrency: 2, Hostname: "go@host"}, slow)
	runWorker(t, app)
	if _, err := slow.Send(t.Context(), app, 0); err != nil {
		t.Fatal(err)
	}
	starts.await(t, 1) // it runs, so it listens
	got := testserver.NewPython(t, testserver.PythonConfig{Broker: url}).Run(`
from celery import Celery
app = Celery("client")
c = app.control
for answer in (
    c.rate_limit("slow", "100/s", reply=True, timeout=10, limit=1),
    c.rate_limit("missing", "100/s", reply=True, timeout=10, limit=1),
    c.rate_limit("slow", "often", reply=True, timeout=10, limit=1),
    c.time_limit("slow", soft=5, hard=10, reply=True, timeout=10, limit=1),
):
    print(answer)
`)
	want := `[{'go@host': {'ok': 'new rate limit set successfully'}}]
[{'go@host': {'error': 'unknown task'}}]
[{'go@host': {'error': 'Invalid rate limit string: ValueError("could not convert string to float: \'often\'")'}}]
[{'go@host': {'ok': 'time limits set successfully'}}]
`
	if got != want {
		t.Errorf("answers:\n%s\nwant:\n%s", got, want)
	}
	for i := range 10 {
		if _, err := slow.Send(t.Context(), app, i); err != nil {
			t.Fatal(err)
		}
	}
	starts.await(t, 11)
}
