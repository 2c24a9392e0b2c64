"""The project of the worker's test: an application for one named channel."""

from __future__ import annotations

import os

from .settings import *  # noqa: F403 -- all but what follows

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "roomful.django.ChannelLayer",
        "CONFIG": {"hosts": [os.environ["TEST_HOST"]], "prefix": os.environ["TEST_PREFIX"]},
    }
}
ASGI_APPLICATION = "tests.django.worker_application.application"
