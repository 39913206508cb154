"""A Django site whose Celery keeps results with django-celery-results, for tests."""
import os
from urllib.parse import parse_qs, unquote, urlparse

database = urlparse(os.environ["SITE_DATABASE"])
query = parse_qs(database.query)
options = {"sslmode": query.get("sslmode", ["prefer"])[0]}
if "search_path" in query:
    options["options"] = "-c search_path=" + query["search_path"][0]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(database.path[1:]),
        "USER": unquote(database.username),
        "PASSWORD": unquote(database.password),
        "HOST": database.hostname,
        "PORT": database.port or 5432,
        "OPTIONS": options,
    }
}

SECRET_KEY = "for tests"
DEBUG = True
ALLOWED_HOSTS = ["*"]
USE_TZ = True
STATIC_URL = "/static/"
ROOT_URLCONF = "site_urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_results",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = os.environ.get("SITE_EXTENDED") == "1"
CELERY_TASK_DEFAULT_QUEUE = "python"
