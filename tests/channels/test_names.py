"""Every public name of Channels has its place under `roomful.channels`."""

from __future__ import annotations

import importlib

import pytest

MODULES = (
    "auth",
    "consumer",
    "db",
    "exceptions",
    "generic.http",
    "generic.websocket",
    "layers",
    "middleware",
    "routing",
    "security.websocket",
    "sessions",
    "testing",
)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_what_channels_defines_there(name: str) -> None:
    ours = importlib.import_module(f"roomful.channels.{name}")
    if name == "testing":
        expected = {"ApplicationCommunicator", "HttpCommunicator", "WebsocketCommunicator"}
    else:
        theirs = importlib.import_module(f"channels.{name}")
        expected = {
            attribute
            for attribute, value in vars(theirs).items()
            if not attribute.startswith("_") and getattr(value, "__module__", None) == theirs.__name__
        }
    missing = {attribute for attribute in expected if not hasattr(ours, attribute)}
    assert missing == set()
