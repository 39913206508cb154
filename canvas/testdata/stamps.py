"""Prints how Celery stamps workflows: one JSON object a line, with the name of the case and its signature. Before 5.3 there is none."""
import json
import warnings

warnings.simplefilter("ignore")

import celery
from celery import Celery, chain, chord, group, signature

app = Celery("app", backend="cache+memory://")
app.set_default()
print(json.dumps({"celery": celery.__version__}))
try:
    from celery.canvas import StampingVisitor
except ImportError:
    raise SystemExit(0)


def add(*args):
    return signature("tasks.add", args=args, app=app)


def note(*args):
    return signature("log.note", args=args, app=app)


def linked(sig, *calls):
    for c in calls:
        sig.link(c)
    return sig


def guarded(sig, *calls):
    for c in calls:
        sig.link_error(c)
    return sig


class Tasks(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"on": sig.task}


class Places(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"signatures": 1}

    def on_group_start(self, sig, **headers):
        return {"groups": len(sig.tasks)}

    def on_chain_start(self, sig, **headers):
        return {"chains": len(sig.tasks)}

    def on_chord_body(self, sig, **headers):
        return {"bodies": 1}

    def on_callback(self, sig, **headers):
        return {"callbacks": sig.task}

    def on_errback(self, sig, **headers):
        return {"errbacks": sig.task}


class Same(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"at": "signature"}

    def on_group_start(self, sig, **headers):
        return {"at": "group"}

    def on_chain_start(self, sig, **headers):
        return {"at": ["chain"]}

    def on_chord_body(self, sig, **headers):
        return {"at": "body"}

    def on_callback(self, sig, **headers):
        return {"at": "callback"}


class Seen(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"seen": ",".join(sorted(k for k in headers if k != "stamped_headers"))}

    def on_chain_start(self, sig, **headers):
        return {"c": 1}

    def on_group_start(self, sig, **headers):
        return {"g": 1}


class Nothing(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {}


FLOWS = {
    "task": lambda: add(1),
    "linked": lambda: guarded(linked(add(1), note(1), add(2)), note(2), add(3)),
    "deep links": lambda: linked(add(1), linked(add(2), guarded(add(3), note(1)))),
    "chain": lambda: chain(add(1), add(2)),
    "chain linked": lambda: guarded(linked(chain(add(1), add(2)), note(1)), note(2)),
    "chain stamped": lambda: chain(add(1), add(2)).set(stamped_headers=["own"], own=1),
    "chord stamped": lambda: chord([add(1)], note()).set(stamped_headers=["own"], own=1),
    "group": lambda: group(add(1), note(2)),
    "groups": lambda: group(group(add(1), add(2)), chain(add(3), group(add(4), add(5)))),
    "chord": lambda: chord([add(1), add(2)], note()),
    "chord linked": lambda: guarded(linked(chord([add(1), chain(add(2), add(3))], note()), note(1)), note(2)),
    "chord of chords": lambda: chord([chord([add(1)], add(2))], chord([add(3)], add(4))),
    "chain of chord": lambda: chain(add(0), group(add(1), add(2)), note(), add(3)),
    "link chain": lambda: linked(add(1), chain(add(2), add(3)), group(add(4), add(5)), chord([add(6)], note())),
}

STAMPS = {
    "plain": lambda s: s.stamp(tenant="acme"),
    "list": lambda s: s.stamp(trace=["t1", "t2"], n=1),
    "twice": lambda s: (s.stamp(tenant="acme", a=1), s.stamp(tenant="other", b=2)),
    "tasks": lambda s: s.stamp(Tasks()),
    "tasks over": lambda s: s.stamp(Tasks(), on="all"),
    "places": lambda s: s.stamp(Places()),
    "same": lambda s: s.stamp(Same()),
    "seen": lambda s: s.stamp(Seen(), x=1),
    "nothing": lambda s: s.stamp(Nothing()),
}


def plain(v):
    """The order of the names is that of a set."""
    if isinstance(v, list):
        return [plain(e) for e in v]
    if isinstance(v, dict):
        return {k: sorted(e) if k == "stamped_headers" else plain(e) for k, e in v.items()}
    return v


for flow, make in FLOWS.items():
    for name, stamp in STAMPS.items():
        sig = make()
        line = {"name": f"{flow}: {name}"}
        try:
            stamp(sig)
            line["signature"] = plain(json.loads(json.dumps(sig)))
        except Exception as exc:
            line["error"] = repr(exc)
        print(json.dumps(line))
