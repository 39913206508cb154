"""Make the calls of the matrix from Python and print what became of each, one JSON object a line."""

import json
import os
import sys
import time

from celery import signature
from celery.result import AsyncResult, GroupResult, ResultSet

from matrix import app

LIMIT = 10


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not happen")
        time.sleep(0.01)


def outcome(result, **options):
    out = {}
    try:
        out["result"] = result.get(timeout=LIMIT, disable_sync_subtasks=False, **options)
    except Exception as exc:
        out["error"] = {"type": type(exc).__name__, "module": type(exc).__module__, "args": [str(a) for a in exc.args]}
        out["traceback"] = bool(result.traceback)
    out["state"] = result.state
    return out


def lines(path, n):
    def read():
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]
    until(lambda: len(read()) >= n)
    return sorted(read(), key=lambda line: line["args"][-1])


def progress(path, terminate, result):
    """See the state of the task's own, then let the task end, or end it. With rpc a state is a message, elsewhere it is looked up."""
    out = {}

    def see(meta):
        if meta["status"] == "PROGRESS":
            out["seen"] = meta["result"]
            if terminate:
                result.revoke(terminate=True)
            else:
                open(path, "w").close()

    if app.conf.result_backend.startswith("rpc"):
        out.update(outcome(result, on_message=see))
        return out
    until(lambda: result.state == "PROGRESS")
    see({"status": result.state, "result": result.info})
    out.update(outcome(result))
    return out


def finish(call, result):
    out = {}
    if call.get("progress"):
        out.update(progress(call["progress"], call.get("terminate"), result))
    elif not call.get("unheard"):
        out.update(outcome(result))
    if call.get("notes"):
        out["notes"] = lines(call["file"], call["notes"])
    if call.get("also"):
        out["also"] = [outcome(AsyncResult(id, app=app)) for id in call["also"]]
    if call.get("children"):
        out["children"] = sorted((outcome(child) for child in result.children), key=lambda o: str(o))
    if call.get("extended"):
        meta = app.backend.get_task_meta(result.id)
        out["extended"] = {k: meta.get(k) for k in ("name", "retries", "queue")}
        out["extended"]["worker"] = bool(meta.get("worker"))
    if call.get("forget"):
        result.forget()
        out["forgotten"] = AsyncResult(result.id, app=app).state
    return out


def group(call):
    """Send some tasks, save them as a group, restore it."""
    gid = call["group"]
    members = [signature(s, app=app).apply_async() for s in call["members"]]
    GroupResult(gid, members, app=app).save()
    # Celery 5.2 waits in vain for results that come while it waits for the second time.
    until(lambda: all(app.backend.get_task_meta(m.id)["status"] == "SUCCESS" for m in members))
    restored = GroupResult.restore(gid, app=app)
    return {"group": [m.id for m in restored.results] == [m.id for m in members],
            "results": restored.join(timeout=LIMIT)}


def send(call):
    if "members" in call:
        return None
    result = signature(call["signature"], app=app).apply_async()
    if call.get("revoke"):
        result.revoke()
    return result


calls = json.load(open(sys.argv[1]))


def look(call, result):
    try:
        out = group(call) if result is None else finish(call, result)
    except Exception as exc:
        out = {"broken": repr(exc)}
    print(json.dumps({"name": call["name"], "queue": call["queue"], "out": out}, default=str))


# A state passes by: it is looked at at once. All others are waited for together, because rpc looks once a second.
for call in calls:
    if call.get("progress"):
        look(call, send(call))
sent = [(call, send(call)) for call in calls if not call.get("progress")]
heard = [result for call, result in sent if result is not None and not call.get("unheard")]
try:
    ResultSet(heard, app=app).get(timeout=2 * LIMIT, propagate=False, disable_sync_subtasks=False)
except Exception as exc:
    print(repr(exc), file=sys.stderr)
for call, result in sent:
    look(call, result)
