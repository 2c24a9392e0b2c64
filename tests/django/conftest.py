"""Django, configured once for the process that runs the tests."""

from __future__ import annotations

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.settings"
django.setup()
# Read once; programs that other tests start have settings of their own.
del os.environ["DJANGO_SETTINGS_MODULE"]
