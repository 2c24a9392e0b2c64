"""Settings for a demonstration: the secrets are in the open, and a page's own errors are shown."""

from __future__ import annotations

import os
from pathlib import Path

from roomful.browser import SCRIPT

BASE = Path(__file__).parents[1]

DEBUG = True
SECRET_KEY = "a demonstration has no secrets"  # noqa: S105 -- as it says
JWT_KEY = "a demonstration has no secrets, but a key of at least 32 bytes"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "roomful.django",  # before staticfiles, whose runserver knows no WebSockets
    "examples.django_alarms.alarms",  # before the admin, one of whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "examples.django_alarms.project.urls"
ASGI_APPLICATION = "examples.django_alarms.project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ALARMS_DATABASE", BASE / "alarms.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
# Cookies of their own: the other examples share this host.
SESSION_COOKIE_NAME = "alarms_session"
CSRF_COOKIE_NAME = "alarms_csrf"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "page"
LOGOUT_REDIRECT_URL = "login"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE.parent / "look", ("roomful", SCRIPT.parent)]

# Where the rooms are, who may enter, and how much a room keeps for pages that are offline.
LAYER = os.environ.get("ALARMS_LAYER")
ROOMFUL = {
    "LAYER": LAYER,
    "ROOMS": {"alarms.*": {"history": 100}},
    "AUTH": "examples.django_alarms.project.auth.AUTH",
}
# For the consumer that came from Channels.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "roomful.django.ChannelLayer",
        "CONFIG": {"hosts": [LAYER]} if LAYER else {},
    }
}
