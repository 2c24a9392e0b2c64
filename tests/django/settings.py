"""The Django project of the tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SECRET_KEY = "not-a-secret"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
# A file of each process: threads share it, and test processes do not.
DATABASE = Path(tempfile.gettempdir()) / f"roomful-tests-{os.getpid()}.sqlite3"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "roomful.django",
]
CHANNEL_LAYERS = {"default": {"BACKEND": "roomful.django.ChannelLayer"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
