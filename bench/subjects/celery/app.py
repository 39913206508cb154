"""Celery, measured: the program of bench/internal/order, in Python.

The order's pool is a list of words. Of a worker: first Celery's own name of the pool (solo, prefork, threads), then
    tuned      no gossip, no mingle, no heartbeat
    late       acknowledge after the task (Celery's default is before)
    reconnect  a database connection for each task, Django's default; else each process or thread keeps its own
Of a sender:
    confirm    wait for the broker's confirm of each message (Celery's default is not to)

The body of a task is the one of the other subjects; a visit is one INSERT by psycopg2, which costs less than Django's models.
"""

import json
import mmap
import os
import struct
import sys
import threading
import time
from datetime import datetime, timezone
from urllib.parse import unquote, urlparse

from celery import Celery
from celery.signals import worker_ready

# Celery greets and logs on standard output, which is the harness's
HARNESS = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

ORDER = json.loads(sys.argv[1])
WORDS = (ORDER["pool"] or "solo").split()

# a record of the ledger: when the task was sent and when it started, in nanoseconds, and how often it ran
RECORD = struct.Struct("<qqq")
TIME = struct.Struct("<q")
RUN = struct.Struct("<qq")

with open(ORDER["ledger"], "r+b") as file:
    LEDGER = mmap.mmap(file.fileno(), 0)  # shared, so that forked processes write into the same one


def ran(number):
    """Note that a task runs, and return how often it has.

    The lock of the interpreter makes no unit of reading and writing, but nobody else writes a record while its task runs.
    """
    if number < 0:
        raise ValueError(f"no task has the number {number}")
    at = number * RECORD.size + TIME.size
    started, runs = RUN.unpack_from(LEDGER, at)
    RUN.pack_into(LEDGER, at, started or time.time_ns(), runs + 1)
    return runs + 1


def sent(number):
    """Note that a task is about to be sent."""
    TIME.pack_into(LEDGER, number * RECORD.size, time.time_ns())


def use_django():
    """Set up Django for the result backend django-db, the one of Celery's that keeps results in PostgreSQL as Django sites do."""
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    url = urlparse(ORDER["results"])
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": unquote(url.path[1:]),
                "USER": unquote(url.username or ""),
                "PASSWORD": unquote(url.password or ""),
                "HOST": url.hostname,
                "PORT": url.port or 5432,
                "CONN_MAX_AGE": None,
            }
        },
        INSTALLED_APPS=["django_celery_results"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()  # the processes of the pool must not share one


def result_backend():
    """Return Celery's name for where results go."""
    if ORDER["results"].startswith("postgres"):
        use_django()
        return "django-db"
    if ORDER["results"].startswith("amqp"):
        return "rpc://"
    return ORDER["results"] or None


app = Celery("bench", broker=ORDER["broker"], backend=result_backend())
app.conf.update(
    task_ignore_result=not ORDER["results"],
    task_acks_late="late" in WORDS,
    task_default_queue=ORDER["queues"][0],
    broker_connection_retry_on_startup=True,  # versions that know the setting warn without it
    broker_transport_options={"confirm_publish": True} if "confirm" in WORDS else {},
)


def task_name(number):
    """Return the name of the task with this number."""
    if ORDER["work"] == "visit":
        return "access_record"
    number %= max(ORDER["names"], 1)
    return f"tasks.add{number}" if number else "tasks.add"


def add(x, y, pad=""):
    """The task that adds."""
    if ran(x) == 1 and ORDER["work"] == "hold":
        threading.Event().wait()  # until the process is killed
    return x + y


COLUMNS = ("path", "query_str", "address", "user_agent", "referer", "atime", "source")
INSERT = f"INSERT INTO access_record ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
kept = threading.local()


def connect():
    """Open a connection to the database of the visits."""
    import psycopg2

    connection = psycopg2.connect(ORDER["database"])
    connection.autocommit = True
    return connection


def access_record(data):
    """The task that stores a visit."""
    ran(int(data["path"].strip("/")))
    connection = getattr(kept, "connection", None) or connect()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [data[column] for column in COLUMNS])
    if "reconnect" in WORDS:
        connection.close()
    else:
        kept.connection = connection


if ORDER["work"] == "visit":
    app.task(access_record, name="access_record")
else:
    for kind in range(max(ORDER["names"], 1)):
        app.task(add, name=task_name(kind))


def ready(**_):
    """Tell the harness that the work begins."""
    print("ready", file=HARNESS, flush=True)


def work():
    """Be a worker until SIGTERM."""
    slots = max(ORDER["slots"], 1)
    if ORDER["prefetch"]:
        app.conf.worker_prefetch_multiplier = max(ORDER["prefetch"] // slots, 1)
    worker_ready.connect(ready, weak=False)
    arguments = ["worker", "-P", WORDS[0], "-c", str(slots), "-Q", ",".join(ORDER["queues"]), "--loglevel", "warning"]
    if "tuned" in WORDS:
        arguments += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    if ORDER["events"]:
        arguments.append("-E")
    try:
        app.worker_main(arguments)
    except SystemExit as end:
        if end.code:
            raise
    return 0.0


def visit(number):
    """Return the visit of the task with this number."""
    return {
        "path": f"/{number}/",
        "query_str": "page=2&sort=-date",
        "address": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "referer": "https://www.example.com/articles/",
        "atime": datetime.now(timezone.utc).isoformat(),
        "source": "中国-广东-深圳",
    }


def arguments_of(number):
    """Return the keyword arguments of the task with this number."""
    if ORDER["work"] == "visit":
        return {"data": visit(number)}
    call = {"x": number, "y": 2}
    if ORDER["body"]:
        call["pad"] = "x" * ORDER["body"]
    return call


def send_share(first, step, begin):
    """Send every step-th task."""
    tasks = app.tasks
    for number in range(first, ORDER["tasks"], step):
        if ORDER["rate"]:
            time.sleep(max(begin + number / ORDER["rate"] - time.monotonic(), 0))
        sent(number)
        tasks[task_name(number)].apply_async(
            kwargs=arguments_of(number),
            queue=ORDER["queues"][number % len(ORDER["queues"])],
            countdown=ORDER["delay"] or None,
        )


def send():
    """Send the tasks from as many threads as the order has senders, and return how long it took."""
    senders = max(ORDER["senders"], 1)
    app.conf.broker_pool_limit = senders
    app.finalize()
    with app.producer_or_acquire() as producer:
        producer.connection.ensure_connection()  # connecting is no part of sending
    ready()
    begin = time.monotonic()
    threads = [threading.Thread(target=send_share, args=(i, senders, begin)) for i in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    for connection in [app.pool.acquire() for _ in range(senders)]:
        if connection.connected:
            # waits for the broker's answer: unconfirmed messages that it has not read are lost when the process just ends
            connection.connection.close()
    return seconds


if __name__ == "__main__":
    if ORDER["role"] == "send" and ORDER["mode"] == "pipelined":
        sys.exit("celery: there is no call that sends several messages together")
    seconds = work() if ORDER["role"] == "work" else send()
    print(json.dumps({"mallocs": 0, "bytes": 0, "seconds": seconds}), file=HARNESS, flush=True)
