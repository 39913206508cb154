"""Tasks for a Python worker: celery -A tasks worker -P solo -l info"""

from celery import Celery

# The broker comes from CELERY_BROKER_URL, else it is amqp://guest:guest@localhost:5672//.
app = Celery("tasks", backend="rpc://")


@app.task
def divide(a, b):
    return a / b
