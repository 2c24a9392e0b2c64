"""Channels' communicators, as they are; the live server needs Daphne and is loaded when it is used."""

from typing import TYPE_CHECKING, Any

from channels.testing.application import ApplicationCommunicator
from channels.testing.http import HttpCommunicator
from channels.testing.websocket import WebsocketCommunicator

if TYPE_CHECKING:
    from channels.testing.live import ChannelsLiveServerTestCase

__all__ = (
    "ApplicationCommunicator",
    "ChannelsLiveServerTestCase",
    "HttpCommunicator",
    "WebsocketCommunicator",
)


def __getattr__(name: str) -> Any:
    if name == "ChannelsLiveServerTestCase":
        from channels.testing.live import ChannelsLiveServerTestCase  # noqa: PLC0415 -- it needs Daphne

        return ChannelsLiveServerTestCase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
