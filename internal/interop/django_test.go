package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// siteTasks are the site's own, for its Python worker.
const siteTasks = `
from site_celery import app

@app.task(name="site.total")
def total(prices, tax=0):
    if not prices:
        raise ValueError("no prices")
    return {"total": sum(prices) + tax}

class Closed(Exception):
    pass

@app.task(name="site.closed")
def closed():
    raise Closed("come back", 9)

@app.task(name="site.parent")
def parent():
    return total.delay([1]).id
`

// newSite returns a migrated Django site, and a Go application on its broker and its database.
func newSite(t *testing.T, tasks ...task.Definition) (*testserver.Django, *taskq.App) {
	t.Helper()
	broker, database := testserver.AMQPVhost(t), testserver.Postgres(t)
	django := testserver.NewDjango(t, testserver.DjangoConfig{
		Broker: broker, Database: database, Extended: true, Modules: map[string]string{"site_tasks.py": siteTasks},
	})
	django.Manage("migrate", "--verbosity", "0")
	return django, newAppOf(t, taskq.Config{
		BrokerURL: broker, ResultBackend: database, Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 2, ResultExtended: true},
	}, tasks...)
}

func TestDjangoReadsWhatGoStores(t *testing.T) {
	t.Parallel()
	django, app := newSite(t, task.New("shop.order", newOrder))
	runWorker(t, app)
	got := lines(t, django.Run(`
import json
from celery import group
from celery.result import AsyncResult, GroupResult
from django_celery_results.models import TaskResult
from site_celery import app

def call(*args):
    result = app.send_task("shop.order", args, queue="celery")
    try:
        value = result.get(timeout=30)
    except Exception as exc:
        value = [type(exc).__module__, type(exc).__name__, str(exc)]
    again = AsyncResult(result.id, app=app)
    print(json.dumps({"value": value, "state": again.state, "traceback": again.traceback, "children": again.children,
                      "done": again.date_done is not None}))

call("tea", 2)
call("tea", -1)
call("tea", 0)
seen = app.send_task("shop.order", ("tea",), {"count": 3}, queue="celery", headers={"periodic_task_name": "every night"})
seen.get(timeout=30)
row = TaskResult.objects.get(task_id=seen.id)
print(json.dumps({"value": [row.task_name, row.task_args, row.task_kwargs, row.periodic_task_name, row.worker.startswith("celery@")]}))
members = group(app.signature("shop.order", ("tea", n), options={"queue": "celery"}) for n in (1, 2)).apply_async()
members.save()
restored = GroupResult.restore(members.id, app=app)
print(json.dumps({"value": [r["count"] for r in restored.get(timeout=30)]}))
`))
	receipt := map[string]any{"item": "tea", "count": 2.0, "note": "", "when": ""}
	for i, want := range []any{
		receipt,
		[]any{"builtins", "ValueError", "count is negative"},
		[]any{"builtins", "Exception", "nothing ordered"},
		[]any{"shop.order", `"('tea',)"`, `"{'count': 3}"`, "every night", true},
		[]any{1.0, 2.0},
	} {
		if diff := cmp.Diff(want, got[i]["value"]); diff != "" {
			t.Errorf("value %d (-want +got):\n%s", i, diff)
		}
	}
	if got[0]["state"] != "SUCCESS" || got[0]["done"] != true || got[0]["traceback"] != nil {
		t.Errorf("success: %v", got[0])
	}
	if trace, _ := got[1]["traceback"].(string); got[1]["state"] != "FAILURE" || !strings.Contains(trace, "ValueError") {
		t.Errorf("failure: %v", got[1])
	}
}

func TestGoReadsWhatDjangoStores(t *testing.T) {
	t.Parallel()
	django, app := newSite(t)
	django.Worker("site_tasks", "-P", "solo", "-Q", "python")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	total := task.Remote[bill, map[string]float64]("site.total", task.Queue("python"))
	sent, err := total.Send(ctx, app, bill{Prices: []float64{1.5, 2}, Tax: 1})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := sent.Get(ctx); err != nil || sum["total"] != 4.5 {
		t.Errorf("total = %v, %v", sum, err)
	}
	meta, err := sent.Wait(ctx)
	if err != nil || meta.DoneAt.IsZero() || meta.Extended == nil || meta.Extended.Name != "site.total" || meta.Extended.Worker == "" ||
		!strings.Contains(meta.Extended.ArgsRepr, "1.5") {
		t.Errorf("outcome = %+v (%+v), %v", meta, meta.Extended, err)
	}
	failed, err := task.Remote[struct{}, int]("site.closed", task.Queue("python")).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = failed.Get(ctx)
	if remote, _ := errors.AsType[*task.RemoteError](err); remote == nil || remote.Type != "Closed" || remote.Module != "site_tasks" ||
		remote.Error() != "Closed: ('come back', 9)" || !strings.Contains(remote.Traceback, "Traceback (most recent call last)") {
		t.Errorf("err = %v, want the site's own Closed", err)
	}
	parent, err := task.Remote[struct{}, string]("site.parent", task.Queue("python")).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if meta, err = parent.Wait(ctx); err != nil || len(meta.Children) != 1 {
		t.Fatalf("children = %+v, %v", meta.Children, err)
	}
	if meta, err = app.Result(meta.Children[0].ID).Wait(ctx); err != nil || string(meta.Result) != `{"total": 1}` {
		t.Errorf("the child's outcome = %s, %v", meta.Result, err)
	}
	readGroup(ctx, t, django, app)
}

// readGroup reads a group that Python saved, and has Python read one that was saved here.
func readGroup(ctx context.Context, t *testing.T, django *testserver.Django, app *taskq.App) {
	t.Helper()
	results, err := app.Results(ctx)
	if err != nil {
		t.Fatal(err)
	}
	groups := results.(result.GroupStore)
	var saved struct {
		ID  string   `json:"id"`
		IDs []string `json:"ids"`
	}
	out := django.Run(`
import json
from celery import group
from site_tasks import total
members = group(total.s([1]), total.s([2])).apply_async()
members.save()
print(json.dumps({"id": members.id, "ids": [r.id for r in members]}))
`)
	if err := json.Unmarshal([]byte(out), &saved); err != nil {
		t.Fatal(err)
	}
	found, ok, err := groups.Group(ctx, saved.ID)
	if err != nil || !ok || !found.Group || len(found.Members) != 2 || found.Members[1].ID != saved.IDs[1] {
		t.Fatalf("group = %+v, %t, %v; want %v", found, ok, err, saved.IDs)
	}
	for _, member := range found.Members {
		if meta, err := app.Result(member.ID).Wait(ctx); err != nil || meta.State != task.Success {
			t.Errorf("%s: %s, %v", member.ID, meta.State, err)
		}
	}
	found.ID = "ours"
	if err := groups.SaveGroup(ctx, found); err != nil {
		t.Fatal(err)
	}
	out = django.Run(`
from celery.result import GroupResult
from site_celery import app
print(GroupResult.restore("ours", app=app).get(timeout=30))
`)
	if want := "[{'total': 1}, {'total': 2}]\n"; out != want {
		t.Errorf("Python restores %q, want %q", out, want)
	}
}

func TestADjangoAdminShowsWhatGoStores(t *testing.T) {
	t.Parallel()
	django, app := newSite(t, task.New("shop.order", newOrder))
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	sent, err := app.Send(ctx, task.Signature{Task: "shop.order", Args: []any{"gunpowder tea", 2}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sent.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	failed, err := app.Send(ctx, task.Signature{Task: "shop.order", Args: []any{"tea", -1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := failed.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	results, err := app.Results(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := results.(result.GroupStore).SaveGroup(ctx, task.Ref{ID: "group-of-two", Group: true, Members: []task.Ref{{ID: sent.ID()}}}); err != nil {
		t.Fatal(err)
	}
	if err := results.Store(ctx, task.Meta{
		ID: "with-details", State: task.Success, Result: codec.Raw(`7`), Children: []task.Ref{{ID: sent.ID()}}, GroupID: "group-of-two",
		Extended: &task.Extended{
			Name: "shop.restock", Args: codec.Raw(`["oolong"]`), ArgsRepr: "('oolong',)", KwargsRepr: "{'count': 3}", Worker: "go@shop", Retries: 1,
			PeriodicTask: "every night",
		},
	}); err != nil {
		t.Fatal(err)
	}
	pages := django.Run(`
import html, sys
from django.contrib.auth.models import User
from django.test import Client
from django_celery_results.models import GroupResult, TaskResult

admin = Client()
admin.force_login(User.objects.create_superuser("admin", password="admin"))

def show(path):
    response = admin.get("/admin/django_celery_results/" + path, HTTP_HOST="localhost")
    print(response.status_code, html.unescape(response.content.decode()))

show("taskresult/")
for id in sys.argv[1:]:
    show("taskresult/%d/change/" % TaskResult.objects.get(task_id=id).pk)
show("groupresult/")
show("groupresult/%d/change/" % GroupResult.objects.get().pk)
`, sent.ID(), failed.ID(), "with-details")
	for _, want := range []string{
		sent.ID(), failed.ID(), "SUCCESS", "FAILURE", `"gunpowder tea"`, "count is negative", `"exc_type"`, "Traceback (most recent call last)", "group-of-two",
		"shop.restock", "('oolong',)", "{'count': 3}", "go@shop", "every night",
	} {
		if !strings.Contains(pages, want) {
			t.Errorf("the admin does not show %s", want)
		}
	}
	if n := strings.Count(pages, "<!DOCTYPE html>"); n != 6 || strings.Contains(pages, "Server Error") {
		t.Errorf("%d pages", n)
	}
	details := django.Run(`
from celery.result import AsyncResult
from site_celery import app
r = AsyncResult("with-details", app=app)
print(r.get(timeout=5), r._get_task_meta()["task_name"], r.args, r.kwargs, r.worker, r.retries, [c.id for c in r.children], r._get_task_meta()["group_id"])
`)
	if want := fmt.Sprintf("7 shop.restock ('oolong',) {'count': 3} go@shop 1 ['%s'] group-of-two\n", sent.ID()); details != want {
		t.Errorf("Python reads %q, want %q", details, want)
	}
	if t.Failed() {
		t.Logf("%.20000s", pages)
	}
}

func TestGoReadsWhatDjangoStoresInASerializerThatItAccepts(t *testing.T) {
	t.Parallel()
	django, strict := newSite(t)
	django.Run(`
from site_celery import app
app.conf.update(result_serializer="msgpack", accept_content=["json", "msgpack"])
app.backend.store_result("packed", {"n": 7}, "SUCCESS")
`)
	app := newAppOf(t, taskq.Config{
		BrokerURL: "memory://", ResultBackend: strict.Config().ResultBackend, Accept: []string{"json", "msgpack"}, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	packed, err := taskq.ResultOf[map[string]int](app, "packed").Get(ctx)
	if err != nil || packed["n"] != 7 {
		t.Errorf("packed = %v, %v", packed, err)
	}
	if _, err := strict.Result("packed").Get(ctx); err == nil || !strings.Contains(err.Error(), "result_serializer") {
		t.Errorf("err = %v, want one that names the setting", err)
	}
}
