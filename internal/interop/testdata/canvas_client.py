"""Start the workflows of the file that is named first and print what became of each, one JSON object a line."""

import json
import os
import sys
import time

from celery import chain, chord, group, signature
from celery.result import GroupResult, ResultSet

from canvas import app

DEADLINE = time.monotonic() + float(sys.argv[2])


def call(f):
    args = [build(a["flow"]) if isinstance(a, dict) and "flow" in a else a for a in f.get("args") or []]
    return app.signature(f["task"], args=args, kwargs=f.get("kwargs") or {}, immutable=f.get("immutable", False))


def spread(f):
    one = app.signature(f["task"])
    kind = {"map": one.type.map, "starmap": one.type.starmap}.get(f["op"])
    return kind(f["args"]) if kind else one.type.chunks(f["args"], f["size"])


def pipe(parts):
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole


def build(f):
    parts = [build(p) for p in f.get("parts") or []]
    op = f.get("op", "")
    if op == "chain":
        sig = chain(*parts)
    elif op == "group":
        sig = group(parts)
    elif op == "chord":
        sig = chord(parts, build(f["body"]))
    elif op == "pipe":
        sig = pipe(parts)
    elif op:
        sig = spread(f)
    else:
        sig = call(f)
    sig.set(**f.get("options") or {})
    for link in f.get("link") or []:
        sig.link(build(link))
    for errback in f.get("link_error") or []:
        sig.link_error(build(errback))
    if f.get("stamps"):
        sig.stamp(**f["stamps"])
    if f.get("serialized"):  # what went over the wire works as well
        sig = signature(json.loads(json.dumps(sig)), app=app)
    return sig


def until(happened):
    while not happened():
        if time.monotonic() > DEADLINE:
            return False
        time.sleep(0.01)
    return True


def value(result):
    """The value once it is there: Celery 5.2 waits in vain for some groups whose results come while it waits."""
    if isinstance(result, GroupResult):
        return [value(member) for member in result.results]
    if not until(result.ready):
        raise TimeoutError("no result came")
    return result.get(timeout=1, disable_sync_subtasks=False, follow_parents=False)


def leaves(result):
    if isinstance(result, GroupResult):
        return [leaf for member in result.results for leaf in leaves(member)]
    return [result]


def outcome(result):
    try:
        return {"value": value(result)}
    except Exception as exc:
        return {"error": type(exc).__name__ + ": " + str(exc)}


def line(result):
    """The states of the steps before the last one, the first one first."""
    steps = []
    while result.parent is not None:
        result = result.parent
        until(result.ready)
        steps.append("a group" if isinstance(result, GroupResult) else result.state)
    return steps[::-1]


def read(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(text) for text in f if text.endswith("\n")]


sent = []
for one in json.load(open(sys.argv[1])):
    try:
        result = build(one["flow"]).apply_async(tuple(one.get("args") or ()))
        sent.append((one, result, None))
        for id in one.get("revoke") or []:
            app.control.revoke(id)
    except Exception as exc:
        sent.append((one, None, {"error": "not sent: " + repr(exc)}))
if app.conf.result_backend.startswith("rpc"):  # whose results are messages, for which it looks once a second
    try:
        every = [leaf for _, result, out in sent if out is None for leaf in leaves(result)]
        ResultSet(every, app=app).get(timeout=DEADLINE - time.monotonic(), propagate=False, disable_sync_subtasks=False)
    except Exception as exc:
        print(repr(exc), file=sys.stderr)
for one, result, out in sent:
    if out is None:
        out = outcome(result)
        if one.get("line"):
            out["line"] = line(result)
        if one.get("notes"):
            until(lambda: len(read(one["file"])) >= one["notes"])
            out["notes"] = read(one["file"])
    print(json.dumps({"name": one["name"], "out": out}, default=str), flush=True)
