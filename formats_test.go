package taskq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
	"github.com/seed-399731e2/taskq/task"
)

func keys() auth.Config {
	const dir = "codec/auth/testdata/"
	return auth.Config{Key: dir + "plain.pem", Certificate: dir + "cert.pem", Store: dir + "cert.pem"}
}

// next takes the next message of the default queue.
func next(t *testing.T, app *taskq.App) *broker.Delivery {
	t.Helper()
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{"celery"}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := consumer.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	d, err := consumer.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Settle(t.Context(), broker.Ack); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCallsGoOutInTheSerializerAndCompressionThatTheyName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		defaults, call task.CallOptions
		contentType    string
		compression    any
	}{
		"nothing said":    {task.CallOptions{}, task.CallOptions{}, "application/json", nil},
		"by default":      {task.CallOptions{Serializer: "msgpack", Compression: "zstd"}, task.CallOptions{}, "application/x-msgpack", "application/zstd"},
		"the call's":      {task.CallOptions{}, task.CallOptions{Serializer: "msgpack", Compression: "gzip"}, "application/x-msgpack", "application/x-gzip"},
		"other than all":  {task.CallOptions{Serializer: "auth", Compression: "zlib"}, task.CallOptions{Serializer: "json", Compression: "none"}, "application/json", nil},
		"signed":          {task.CallOptions{}, task.CallOptions{Serializer: "auth"}, "application/data", nil},
		"signed, packed":  {task.CallOptions{Serializer: "auth", Compression: "zlib"}, task.CallOptions{}, "application/data", "application/x-gzip"},
		"by content type": {task.CallOptions{}, task.CallOptions{Serializer: "application/x-msgpack"}, "application/x-msgpack", nil},
	} {
		app := newApp(t, taskq.Config{Call: c.defaults, Auth: keys()})
		if _, err := app.Send(t.Context(), task.Signature{Task: "t", CallOptions: c.call}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := next(t, app); d.ContentType != c.contentType || d.Headers["compression"] != c.compression {
			t.Errorf("%s: %s, %v; want %s, %v", name, d.ContentType, d.Headers["compression"], c.contentType, c.compression)
		}
	}
}

func TestUnknownFormatsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	for want, options := range map[string]task.CallOptions{
		`unknown serializer "xml"; use json, msgpack or auth`: {Serializer: "xml"},
		"the serializer pickle is refused for good":           {Serializer: "pickle"},
		"security_key is not set":                             {Serializer: "auth"},
		`unknown compression "rar"`:                           {Compression: "rar"},
		"compression bzip2 is read, not written":              {Compression: "bzip2"},
	} {
		if _, err := app.Send(t.Context(), task.Signature{Task: "t", CallOptions: options}); !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := taskq.New(taskq.Config{Call: options}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("as defaults: %v, want %q", err, want)
		}
	}
	for want, accept := range map[string]string{
		"taskq: accept_content: codec: the serializer yaml is not spoken here": "yaml", "taskq: auth: security_key is not set": "auth",
		`taskq: accept_content: codec: unknown serializer "text/plain"`: "text/plain",
	} {
		if _, err := taskq.New(taskq.Config{Accept: []string{"json", accept}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := b.(broker.Measurer).Measure(t.Context(), "celery"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("the queue is there, with %d messages: %v", stats.Messages, err)
	}
}

// A worker takes what its application accepts, and tells who sent something else.
func TestWorkersTakeWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accept  []string
		limits  codec.Limits
		send    task.CallOptions
		refusal string // "": none
	}{
		"json":                    {nil, codec.Limits{}, task.CallOptions{Serializer: "json"}, ""},
		"msgpack, not accepted":   {nil, codec.Limits{}, task.CallOptions{Serializer: "msgpack"}, "ContentDisallowed"},
		"msgpack":                 {[]string{"msgpack"}, codec.Limits{}, task.CallOptions{Serializer: "msgpack", Compression: "zstd"}, ""},
		"json where signed is":    {[]string{"auth"}, codec.Limits{}, task.CallOptions{Serializer: "json"}, "ContentDisallowed"},
		"signed":                  {[]string{"auth"}, codec.Limits{}, task.CallOptions{Serializer: "auth", Compression: "zlib"}, ""},
		"too long":                {nil, codec.Limits{BodyBytes: 10}, task.CallOptions{}, "DecodeError"},
		"too long, when unpacked": {nil, codec.Limits{UnpackedBytes: 10}, task.CallOptions{Compression: "zlib"}, "DecodeError"},
		"too deep":                {nil, codec.Limits{Depth: 1}, task.CallOptions{}, "DecodeError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, taskq.Config{Accept: c.accept, Limits: c.limits, Auth: keys()}, add())
			work(t, app)
			call := add().S(pair{2, 3})
			call.Serializer, call.Compression = c.send.Serializer, c.send.Compression
			result, err := app.Send(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			meta, err := result.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var sum int
			if c.refusal == "" {
				if err := meta.Value(&sum); err != nil || sum != 5 {
					t.Errorf("sum = %d, %v", sum, err)
				}
				return
			}
			remote, _ := errors.AsType[*task.RemoteError](meta.Err())
			if remote == nil || remote.Type != c.refusal {
				t.Errorf("outcome = %v, want %s", meta.Err(), c.refusal)
			}
		})
	}
}

// What is signed is signed again when it is tried again.
func TestARetryOfASignedCallIsTaken(t *testing.T) {
	t.Parallel()
	flaky := task.New("flaky", func(ctx context.Context, p pair) (int, error) {
		if task.FromContext(ctx).Retries == 0 {
			return 0, task.RetryAfter(errors.New("once"), 0)
		}
		return p.X + p.Y, nil
	})
	app := newApp(t, taskq.Config{Accept: []string{"auth"}, Auth: keys(), Call: task.CallOptions{Serializer: "auth"}}, flaky)
	work(t, app)
	result, err := flaky.Send(t.Context(), app, pair{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := result.Get(t.Context()); err != nil || sum != 5 {
		t.Errorf("sum = %d, %v", sum, err)
	}
}

// What follows a signed call is signed, too, though calls from here are not: a worker that takes it may take nothing else.
func TestWhatFollowsASignedCallIsSigned(t *testing.T) {
	t.Parallel()
	sums := make(chan int, 1)
	last := task.New("last", func(_ context.Context, sum int) (int, error) { sums <- sum; return sum, nil })
	app := newApp(t, taskq.Config{Accept: []string{"auth"}, Auth: keys(), Call: task.CallOptions{Serializer: "json"}}, add(), last)
	work(t, app)
	call := add().S(pair{2, 3}, task.Serializer("auth"))
	call.Link = []task.Signature{{Task: "last"}}
	if _, err := app.Send(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	select {
	case sum := <-sums:
		if sum != 5 {
			t.Errorf("sum = %d, want 5", sum)
		}
	case <-time.After(10 * time.Second):
		t.Error("what follows did not run")
	}
}
