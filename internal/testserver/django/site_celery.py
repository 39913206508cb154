from celery import Celery

app = Celery("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
