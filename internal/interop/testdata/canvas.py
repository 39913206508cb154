"""The tasks of the workflows, as a Python worker runs them; canvas_tasks_test.go has the same ones in Go."""

import json
import os
import time

from celery import Celery, signature

if "DJANGO_SETTINGS_MODULE" in os.environ:
    import django

    django.setup()

app = Celery("canvas")
app.conf.update(
    result_backend=os.environ.get("CANVAS_BACKEND", "django-db"),
    result_extended=True,
    task_default_queue="python",
    worker_prefetch_multiplier=16,
)


def write(path, line):
    with open(path, "a") as f:
        f.write(json.dumps(line) + "\n")


@app.task(name="cv.add")
def add(*numbers):
    return sum(numbers)


@app.task(name="cv.total")
def total(numbers):
    return sum(total(n) if isinstance(n, list) else n for n in numbers)


@app.task(name="cv.same")
def same(value):
    return value


@app.task(name="cv.echo")
def echo(*args, **kwargs):
    return [list(args), kwargs]


@app.task(name="cv.fail")
def fail(*args):
    raise ValueError(args[-1])


@app.task(name="cv.retry", bind=True, max_retries=5)
def retry(self, value, times):
    if self.request.retries < times:
        raise self.retry(countdown=0.1)
    return value


@app.task(name="cv.slow")
def slow(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name="cv.priority", bind=True)
def priority(self, *args):
    return (self.request.delivery_info or {}).get("priority") or 0


@app.task(name="cv.ids", bind=True)
def ids(self, *args):
    """Whether the task knows what started it all, its group and its place there."""
    r = self.request
    return [r.root_id is not None, r.parent_id is not None, r.group is not None, r.group_index]


@app.task(name="cv.stamp", bind=True)
def stamp(self, *args):
    return getattr(self.request, "stamps", None) or {}


@app.task(name="cv.note")
def note(*args):
    """Write a line to the file that is named last: all arguments but that."""
    *args, path = args
    write(path, args)
    return args[0]


@app.task(name="cv.caught", bind=True)  # which Celery calls by a message, with the id of what failed
def caught(self, failed, label, path):
    write(path, [label])


@app.task(name="cv.caught_here")  # which Celery calls as a function in the worker that has the failure
def caught_here(request, exc, traceback, label, path):
    write(path, [label, type(exc).__name__])


@app.task(name="cv.replace", bind=True)
def replace(self, *args):
    return self.replace(signature(args[-1], app=app))


@app.task(name="cv.grow", bind=True)
def grow(self, value, more):
    self.add_to_chord(signature(more, app=app))
    return value
