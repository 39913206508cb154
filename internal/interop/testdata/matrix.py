"""The tasks of the matrix, as a Python worker runs them; matrix_tasks_test.go has the same ones in Go."""

import json
import os
import time

from celery import Celery

if "DJANGO_SETTINGS_MODULE" in os.environ:
    import django

    django.setup()

app = Celery("matrix")
app.conf.update(
    result_backend=os.environ.get("MATRIX_BACKEND", "django-db"),
    accept_content=["json", "msgpack"],
    result_extended=True,
    task_default_queue="python",
    worker_prefetch_multiplier=16,
)


class Closed(Exception):
    pass


FAILURES = {"ValueError": ValueError, "KeyError": KeyError, "ZeroDivisionError": ZeroDivisionError, "Closed": Closed}


@app.task(name="matrix.echo")
def echo(*args, **kwargs):
    return [list(args), kwargs]


@app.task(name="matrix.add", typing=False)
def add(x, y):
    return x + y


@app.task(name="matrix.fail")
def fail(kind, *args):
    raise FAILURES[kind](*args)


@app.task(name="matrix.request", bind=True)
def request(self):
    r = self.request
    return {
        "id": r.id,
        "correlation_id": r.correlation_id,
        "root_id": r.root_id,
        "parent_id": r.parent_id,
        "group": r.group,
        "group_index": r.group_index,
        "retries": r.retries,
        "eta": r.eta is not None,
        "expires": r.expires is not None,
        "timelimit": list(r.timelimit or (None, None)),
        "shadow": r.shadow,
        "ignore_result": bool(r.ignore_result),
        "argsrepr": r.argsrepr,
        "kwargsrepr": r.kwargsrepr,
        "origin": (r.origin or "")[:3],
        "priority": (r.delivery_info or {}).get("priority") or 0,
        "exchange": (r.delivery_info or {}).get("exchange"),
        "routing_key": (r.delivery_info or {}).get("routing_key"),
        "redelivered": bool((r.delivery_info or {}).get("redelivered")),
        "app_id": (r.properties or {}).get("app_id"),
        "callbacks": [c["task"] for c in r.callbacks or []],
        "errbacks": [c["task"] for c in r.errbacks or []],
        "headers": custom_headers(r),
    }


def custom_headers(r):
    """Celery up to 5.2 makes attributes of them, later ones keep them apart."""
    names = ("x-tenant", "x-number", "x-flag")
    return {n: getattr(r, n, None) if getattr(r, n, None) is not None else (r.headers or {}).get(n)
            for n in names if getattr(r, n, None) is not None or n in (r.headers or {})}


@app.task(name="matrix.retry", bind=True, max_retries=3)
def retry(self, times, kind=None):
    if self.request.retries < times:
        # Celery stores RETRY after it has sent the next try: a quicker one could end before.
        raise self.retry(exc=FAILURES[kind]("again") if kind else None, countdown=0.3)
    return self.request.retries


@app.task(name="matrix.slow", bind=True)
def slow(self, seconds):
    time.sleep(seconds)
    return "slept"


@app.task(name="matrix.note", bind=True)
def note(self, *args):
    """Write a line to the file that is named last: the effect of a task whose result nobody waits for."""
    *args, path = args
    r = self.request
    line = json.dumps({"args": args, "parent_id": r.parent_id, "root_id": r.root_id, "retries": r.retries,
                       "group": r.group is not None})
    with open(path, "a") as f:
        f.write(line + "\n")
    return args


@app.task(name="matrix.progress", bind=True)
def progress(self, path):
    """Show a state of its own until the file is there."""
    self.update_state(state="PROGRESS", meta={"done": 3, "of": 7})
    deadline = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return "done"


@app.task(name="matrix.spawn", bind=True)
def spawn(self, queue, n):
    for i in range(n):
        echo.apply_async((i,), queue=queue)
    return n


@app.task(name="matrix.unencodable")
def unencodable():
    return object()
