"""What WebSocket consumers send and read, as ASGI events: shared by the async and the sync ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidChannelLayerError

if TYPE_CHECKING:
    from ..desk import Event

__all__ = ("accept_event", "check_groups", "close_event", "error_text", "received", "send_event", "text_of")


def accept_event(subprotocol: str | None, headers: Iterable[Any] | None) -> Event:
    """Return the event that accepts a connection."""
    event: Event = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        event["headers"] = list(headers)
    return event


def send_event(text_data: str | None, bytes_data: bytes | None) -> Event:
    """Return the event that sends a message.

    Raises:
        ValueError: There is neither a text nor bytes.
    """
    if text_data is not None:
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


def close_event(code: int | bool | None, reason: str | None) -> Event:  # noqa: FBT001 -- `send(close=True)` of Channels
    """Return the event that closes a connection."""
    event: Event = {"type": "websocket.close"}
    if code is not None and code is not True:
        event["code"] = code
    if reason:
        event["reason"] = reason
    return event


def received(event: Event) -> dict[str, Any]:
    """Return what `receive` is called with."""
    text = event.get("text")
    return {"bytes_data": event["bytes"]} if text is None else {"text_data": text}


def text_of(text_data: str | None) -> str:
    """Return the text of a message that must be one.

    Raises:
        ValueError: It is binary, or empty.
    """
    if not text_data:
        raise ValueError("No text section for incoming WebSocket frame! This consumer reads JSON texts alone")
    return text_data


def check_groups(groups: Iterable[str], layer: object | None, alias: str) -> None:
    """Return if a consumer with these groups has a layer for them.

    Raises:
        InvalidChannelLayerError: It has none, or one without groups.
    """
    if list(groups) and not hasattr(layer, "group_add"):
        raise InvalidChannelLayerError(
            f"BACKEND is unconfigured or doesn't support groups: CHANNEL_LAYERS has none with groups as {alias!r}"
        )


def error_text(message: Event) -> dict[str, object]:
    """Return what a client that speaks JSON is told about a message that no handler takes."""
    return {
        "type": "roomful.error",
        "data": {"code": "unknown_type", "message": f"type {message.get('type')!a:.100} is not known here"},
    }
