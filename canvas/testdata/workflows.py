"""Prints what Celery makes of workflows: one JSON object a line, with the name of the case, its signature and its repr."""
import json
import warnings

warnings.simplefilter("ignore")

import celery
from celery import Celery, chain, chord, group, signature

app = Celery("app", backend="cache+memory://")
app.set_default()


@app.task(name="tasks.add")
def known(x, y=0):
    return x + y


def call(name, *args, **kwargs):
    return signature(name, args=args, kwargs=kwargs, app=app)


def add(*args, **kwargs):
    return call("tasks.add", *args, **kwargs)


def mul(*args, **kwargs):
    return call("tasks.mul", *args, **kwargs)


def note(*args, **kwargs):
    return call("log.note", *args, **kwargs)


xsum = call("tasks.xsum")
lone = call("ping")
pair = lambda: group(add(1), add(2))
one = lambda: group(add(1))
none = lambda: group([])
joined = lambda: chord([add(1), add(2)], xsum.clone())


def changed(sig, change):
    change(sig)
    return sig


def linked(sig, *calls):
    for c in calls:
        sig.link(c)
    return sig


def guarded(sig, *calls):
    for c in calls:
        sig.link_error(c)
    return sig


CASES = {
    # calls
    "task": lambda: add(2, 2),
    "task none": lambda: lone,
    "task kwargs": lambda: add(2, y=3),
    "task values": lambda: add("text", None, True, 1.5, [1, "a"], {"k": "v"}),
    "task immutable": lambda: add(2, 2).set(immutable=True),
    "task options": lambda: add(2, 2).set(queue="math", countdown=10, priority=3),
    "task args": lambda: add(2).clone((1,)),
    "task args twice": lambda: add(3).clone((2,)).clone((1,)),
    "task kwargs merge": lambda: add(x=1, y=2).clone(kwargs={"y": 3, "z": 4}),
    "immutable args": lambda: add(2).set(immutable=True).clone((1,), {"y": 3}),
    "set replaces": lambda: add().set(queue="a", priority=1).set(queue="b"),
    "set link": lambda: add().set(link=[note(1)]),
    "link": lambda: linked(add(1), note(1)),
    "link twice": lambda: linked(add(1), note(1), note(1), note(2)),
    "link error": lambda: guarded(add(1), note(1), note(1)),
    "link chain": lambda: linked(add(1), chain([add(2), add(3)])),
    "link group": lambda: linked(add(1), pair()),
    "link of link": lambda: linked(add(1), linked(add(2), note(3))),
    # two
    "task | task": lambda: add(1) | add(2),
    "task | chain": lambda: add(1) | (add(2) | add(3)),
    "task | group": lambda: add(1) | pair(),
    "task | one": lambda: add(1) | one(),
    "task | none": lambda: add(1) | none(),
    "task | chord": lambda: add(1) | joined(),
    "chain | task": lambda: (add(1) | add(2)) | add(3),
    "chain | chain": lambda: (add(1) | add(2)) | (add(3) | add(4)),
    "chain | group": lambda: (add(1) | add(2)) | pair(),
    "chain | one": lambda: (add(1) | add(2)) | one(),
    "chain | none": lambda: (add(1) | add(2)) | none(),
    "chain | chord": lambda: (add(1) | add(2)) | joined(),
    "group | task": lambda: pair() | add(3),
    "group | chain": lambda: pair() | (add(3) | add(4)),
    "group | group": lambda: pair() | group(mul(1), mul(2)),
    "group | one": lambda: pair() | one(),
    "group | none": lambda: pair() | none(),
    "group | chord": lambda: pair() | joined(),
    "one | task": lambda: one() | add(3),
    "none | task": lambda: none() | add(3),
    "none | none": lambda: none() | none(),
    "chord | task": lambda: joined() | add(3),
    "chord | chain": lambda: joined() | (add(3) | add(4)),
    "chord | group": lambda: joined() | pair(),
    "chord | one": lambda: joined() | one(),
    "chord | none": lambda: joined() | none(),
    "chord | chord": lambda: joined() | joined(),
    # chains
    "chain()": lambda: chain([]),
    "chain(task)": lambda: chain([add(1)]),
    "chain(group)": lambda: chain([pair()]),
    "chain(one)": lambda: chain([one()]),
    "chain(none)": lambda: chain([none()]),
    "chain(chord)": lambda: chain([joined()]),
    "chain(chain)": lambda: chain([add(1) | add(2)]),
    "chain of 3": lambda: chain(add(1), add(2), add(3)),
    "chain of chains": lambda: chain(add(1) | add(2), add(3) | add(4)),
    "chain of chain of group": lambda: chain(add(1), chain(add(2), pair()), add(3)),
    "chain group task": lambda: chain(pair(), add(3)),
    "chain one task": lambda: chain(one(), add(3)),
    "chain none task": lambda: chain(none(), add(3)),
    "chain task group task": lambda: chain(add(0), pair(), add(3)),
    "chain task group task task": lambda: chain(add(0), pair(), add(3), add(4)),
    "chain task one task": lambda: chain(add(0), one(), add(3)),
    "chain task none task": lambda: chain(add(0), none(), add(3)),
    "chain task group group": lambda: chain(add(0), pair(), group(mul(1), mul(2))),
    "chain task group group task": lambda: chain(add(0), pair(), group(mul(1), mul(2)), add(3)),
    "chain task group group group": lambda: chain(add(0), pair(), pair(), pair()),
    "chain group group": lambda: chain(pair(), pair()),
    "chain group group task": lambda: chain(pair(), pair(), xsum),
    "chain group task group task": lambda: chain(pair(), add(3), pair(), add(4)),
    "chain task group task group task": lambda: chain(add(0), pair(), add(3), pair(), add(4)),
    "chain chord task": lambda: chain(joined(), add(3)),
    "chain chord group": lambda: chain(joined(), pair()),
    "chain chord chord": lambda: chain(joined(), joined()),
    "chain chord chain": lambda: chain(joined(), chain(add(3), add(4))),
    "chain task chord task": lambda: chain(add(0), joined(), add(3)),
    "chain task chord group": lambda: chain(add(0), joined(), pair()),
    "chain task chord chord": lambda: chain(add(0), joined(), joined()),
    "chain task chord group task": lambda: chain(add(0), joined(), pair(), add(4)),
    "chain task chord chord task": lambda: chain(add(0), joined(), joined(), add(4)),
    "chain group chord": lambda: chain(pair(), joined()),
    "chain task group chord": lambda: chain(add(0), pair(), joined()),
    "chain group chain": lambda: chain(pair(), chain(add(3), add(4))),
    "chain task group chain": lambda: chain(add(0), pair(), chain(add(3), add(4))),
    "chain task group chain group task": lambda: chain(add(0), pair(), chain(add(3), pair()), add(4)),
    "chain immutable": lambda: chain(add(1), add(2, 2).set(immutable=True)),
    "chain options": lambda: chain(add(1), add(2)).set(queue="math"),
    "chain options | task": lambda: chain(add(1), add(2)).set(queue="math") | add(3),
    "chain group options | task": lambda: (add(1) | pair()).set(queue="math") | add(3),
    "chain chord options | task": lambda: (add(0) | joined()).set(queue="math") | add(3),
    "chain chord options | group": lambda: (add(0) | joined()).set(queue="math") | pair(),
    "chain linked | task": lambda: linked(add(1) | add(2), note(1)) | add(3),
    "chain guarded | task": lambda: guarded(add(1) | add(2), note(1)) | add(3),
    "chain guarded | chain guarded": lambda: guarded(add(1) | add(2), note(1)) | guarded(add(3) | add(4), note(2)),
    "task | chain linked": lambda: add(1) | linked(add(2) | add(3), note(1)),
    "chain group linked | task": lambda: linked(add(1) | pair(), note(1)) | add(3),
    # groups
    "group()": lambda: group([]),
    "group(task)": lambda: group(add(1)),
    "group([group])": lambda: group([pair()]),
    "chord([group])": lambda: chord([pair()], xsum),
    "group | task | group | task": lambda: pair() | add(3) | pair() | add(4),
    "task | group | task | group | task | task": lambda: add(0) | pair() | add(3) | pair() | add(4) | add(5),
    "chain([chord | chain])": lambda: chain([joined() | (add(3) | add(4)), pair(), add(5)]),
    "chain of linked groups": lambda: guarded(linked(add(1) | pair(), note(1)), note(2)) | pair() | add(3),
    "group link chain": lambda: linked(pair(), add(3) | add(4)),
    "group link group": lambda: linked(pair(), pair()),
    "group of chord link": lambda: linked(group(joined(), add(1)), note(1)),
    "chord body chain link": lambda: linked(chord([add(1)], add(2) | add(3)), note(1)),
    "chord body group link": lambda: guarded(linked(chord([add(1)], pair()), note(1)), note(2)),
    "group(chain)": lambda: group([add(1) | add(2)]),
    "group of 3": lambda: group(add(0), add(1), add(2)),
    "group of groups": lambda: group(pair(), group(mul(1), mul(2))),
    "group of chains": lambda: group(add(1) | add(2), add(3) | add(4)),
    "group of chords": lambda: group(joined(), joined()),
    "group options": lambda: group(add(1), add(2)).set(queue="math"),
    "group options | task": lambda: group(add(1), add(2)).set(queue="math") | add(3),
    "group immutable": lambda: changed(pair(), lambda g: g.set_immutable(True)),
    "group link": lambda: linked(pair(), note(1)),
    "group link error": lambda: guarded(pair(), note(1)),
    "group link error, chord in it": lambda: guarded(group(add(1), joined(), add(1) | add(2)), note(1)),
    # chords
    "chord": lambda: chord([add(1), add(2)], xsum),
    "chord one": lambda: chord([add(1)], xsum),
    "chord none": lambda: chord([], xsum),
    "chord group": lambda: chord(pair(), xsum),
    "chord of chains": lambda: chord([add(1) | add(2), add(3)], xsum),
    "chord of groups": lambda: chord([pair(), group(mul(1), mul(2))], xsum),
    "chord of chords": lambda: chord([joined(), joined()], xsum),
    "chord body chain": lambda: chord([add(1), add(2)], xsum.clone() | add(3)),
    "chord body group": lambda: chord([add(1), add(2)], pair()),
    "chord body chord": lambda: chord([add(1), add(2)], joined()),
    "chord body immutable": lambda: chord([add(1), add(2)], add(3, 3).set(immutable=True)),
    "chord options": lambda: chord([add(1), add(2)], xsum.clone()).set(queue="math"),
    "chord options | task": lambda: chord([add(1), add(2)], xsum.clone()).set(queue="math") | add(3),
    "chord immutable": lambda: changed(joined(), lambda c: c.set_immutable(True)),
    "chord link": lambda: linked(joined(), note(1)),
    "chord link error": lambda: guarded(joined(), note(1)),
    "chord link error, chord in it": lambda: guarded(chord([joined(), add(1)], xsum.clone()), note(1)),
    "chain link": lambda: linked(add(1) | add(2), note(1)),
    "chain link error": lambda: guarded(add(1) | add(2), note(1)),
    # one task for many items
    "map of many": lambda: known.map(list(range(50))),
    "map": lambda: known.map([1, 2, 3]),
    "starmap": lambda: known.starmap([[1, 1], [2, 2]]),
    "chunks": lambda: known.chunks([[1, 1], [2, 2], [3, 3]], 2),
    "chain of map": lambda: add(1) | known.map([1, 2]) | xsum,
}

print(json.dumps({"celery": celery.__version__}))
for name, make in CASES.items():
    line = {"name": name}
    try:
        sig = make()
        line["signature"] = json.loads(json.dumps(sig))
        line["repr"] = repr(sig)
    except Exception as exc:
        line["error"] = repr(exc)
    print(json.dumps(line))
