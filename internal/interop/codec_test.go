package interop_test

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec/auth"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// parcel has a value of each kind that the formats know.
type parcel struct {
	Data  []byte         `task:"data"`
	Text  string         `task:"text"`
	Count int64          `task:"count"`
	Ratio float64        `task:"ratio"`
	List  []any          `task:"list"`
	Map   map[string]any `task:"map,optional"`
}

// seen is what arrived, in types of JSON.
type seen struct {
	Data  string         `json:"data"` // hexadecimal
	Text  string         `json:"text"`
	Count int64          `json:"count"`
	Ratio float64        `json:"ratio"`
	List  []any          `json:"list"`
	Map   map[string]any `json:"map"`
}

func unwrap(_ context.Context, p parcel) (seen, error) {
	return seen{hex.EncodeToString(p.Data), p.Text, p.Count, p.Ratio, p.List, p.Map}, nil
}

// the Python twin of unwrap, and a sender of parcels
const parcels = `
import base64, json, sys
from celery import Celery

app = Celery("parcels", backend="rpc://")
app.conf.task_default_queue = "python"

@app.task(name="unwrap")
def unwrap(data, text, count, ratio, list, map=None):
    if isinstance(data, str):  # JSON has no bytes; a Go sender writes base64
        data = base64.b64decode(data)
    return dict(data=data.hex(), text=text, count=count, ratio=ratio, list=list, map=map)

def send(data, **options):
    result = app.send_task("unwrap", (data, "\u70ed" * 2000, 2**53 + 1, 0.5, [None, True, -1]), {"map": {"k": [1]}}, queue="go", **options)
    print(json.dumps(result.get(timeout=30)))
`

func parcelModules() []string { return []string{"msgpack", "zstandard", "cryptography"} }

func wantSeen() map[string]any {
	return map[string]any{
		"data": "00ff01", "text": hot(), "count": float64(1<<53 + 1), "ratio": 0.5, "list": []any{nil, true, -1.0}, "map": map[string]any{"k": []any{1.0}},
	}
}

func hot() string {
	var text []rune
	for range 2000 {
		text = append(text, '热')
	}
	return string(text)
}

func TestGoRunsWhatCelerySendsInItsFormats(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	runWorker(t, newAppOf(t, taskq.Config{
		BrokerURL: url, DefaultQueue: "go", Accept: []string{"json", "msgpack"}, Worker: worker.Options{Concurrency: 2},
	}, task.New("unwrap", unwrap)))
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"parcels.py": parcels}, Needs: parcelModules()})
	got := lines(t, python.Run(`
from parcels import *
plain = base64.b64encode(b"\x00\xff\x01").decode()
send(plain)
for compression in "gzip", "zlib", "bzip2", "zstd":
    send(plain, compression=compression)
send(b"\x00\xff\x01", serializer="msgpack")
send(b"\x00\xff\x01", serializer="msgpack", compression="gzip")
send(b"\x00\xff\x01", serializer="msgpack", compression="zstd")
`))
	if len(got) != 8 {
		t.Fatalf("%d answers, want 8", len(got))
	}
	for i, answer := range got {
		if diff := cmp.Diff(wantSeen(), answer); diff != "" {
			t.Errorf("call %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestCeleryRunsWhatGoSendsInItsFormats(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{
		Broker: url, Modules: map[string]string{"parcels.py": parcels + `
app.conf.accept_content = ["json", "msgpack"]
`}, Needs: parcelModules(),
	})
	python.Worker("parcels", "-P", "solo", "-Q", "python")
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	call := task.Remote[parcel, map[string]any]("unwrap", task.Queue("python"))
	arg := parcel{[]byte{0, 255, 1}, hot(), 1<<53 + 1, 0.5, []any{nil, true, -1}, map[string]any{"k": []int{1}}}
	want := wantSeen()
	want["count"], want["list"], want["map"] = int64(1<<53+1), []any{nil, true, int64(-1)}, map[string]any{"k": []any{int64(1)}}
	for _, format := range [][2]string{
		{"json", "none"}, {"json", "zlib"}, {"json", "zstd"}, {"msgpack", "none"}, {"msgpack", "zlib"}, {"msgpack", "zstd"},
	} {
		result, err := call.Send(ctx, app, arg, task.Serializer(format[0]), task.Compression(format[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := result.Get(ctx); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v (-want +got):\n%s", format, err, cmp.Diff(want, got))
		}
	}
}

// A zstd body of less than 256 bytes says its size only when it is told to, and Python's library does not unpack it without.
func TestCeleryUnpacksShortBodies(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": shop}, Needs: parcelModules()})
	python.Worker("shop", "-P", "solo", "-Q", "python")
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	result, err := task.Remote[bill, map[string]any]("shop.total", task.Queue("python")).Send(ctx, app, bill{Prices: []float64{1}}, task.Compression("zstd"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := result.Get(ctx); err != nil || got["total"] != 1.0 {
		t.Errorf("total = %v, %v", got, err)
	}
}

// signing sets Celery up to sign with the keys of the Go tests.
const signing = `
app.conf.update(task_serializer="auth", accept_content=["auth"], result_accept_content=["json"],
    security_key=sys.argv[1] + "/plain.pem", security_certificate=sys.argv[1] + "/cert.pem", security_cert_store=sys.argv[1] + "/cert.pem")
app.setup_security()
`

func TestGoRunsOnlyWhatCelerySigned(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs("../../codec/auth/testdata")
	if err != nil {
		t.Fatal(err)
	}
	url := testserver.AMQPVhost(t)
	retried := task.New("unwrap", func(ctx context.Context, p parcel) (seen, error) {
		if task.FromContext(ctx).Retries == 0 {
			return seen{}, task.RetryAfter(nil, 10*time.Millisecond) // comes again signed by Go
		}
		return unwrap(ctx, p)
	})
	runWorker(t, newAppOf(t, taskq.Config{
		BrokerURL: url, DefaultQueue: "go", Accept: []string{"auth"}, Worker: worker.Options{Concurrency: 2},
		Auth: auth.Config{Key: filepath.Join(dir, "pbes2.pem"), Password: "open-sesame", Certificate: filepath.Join(dir, "cert.pem"), Store: filepath.Join(dir, "cert.pem")},
	}, retried))
	python := testserver.NewPython(t, testserver.PythonConfig{
		Broker: url, Modules: map[string]string{"parcels.py": parcels, "signed.py": "from parcels import *\n" + signing}, Needs: parcelModules(),
	})
	got := lines(t, python.Run(`
from signed import *
plain = base64.b64encode(b"\x00\xff\x01").decode()
send(plain)
send(plain, compression="gzip")
try:
    send(plain, serializer="json")
except Exception as exc:
    print(json.dumps({"refused": type(exc).__name__}))
`, dir))
	for i, want := range []map[string]any{wantSeen(), wantSeen(), {"refused": "ContentDisallowed"}} {
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("call %d (-want +got):\n%s", i, diff)
		}
	}
}
