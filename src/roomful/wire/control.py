"""Control messages: what a client says about itself to the library, beside the application's events.

    {"type": "roomful.authenticate", "data": {"token": "…"}, "id"?}     as the first message
    {"type": "roomful.refresh", "data": {"token": "…"}, "id"?}          at any time

No error repeats what was sent: it is a secret.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from ..core.errors import InvalidMessage
from ..core.events import RESERVED_PREFIX
from ..core.ports import MessageId
from . import json
from .events import MAX_ID_CHARACTERS

__all__ = ("AUTHENTICATE", "MAX_CONTROL_CHARACTERS", "REFRESH", "Control", "may_be_control", "read_control")

AUTHENTICATE: Final = "roomful.authenticate"
REFRESH: Final = "roomful.refresh"

MAX_CONTROL_CHARACTERS: Final = 16 * 1024
"""Longest control message; a token has at most half of it."""

_MARK: Final = f'"{RESERVED_PREFIX}'


_Id: TypeAlias = (
    Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARACTERS)]
    | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    | None
)


class Control(NamedTuple):
    """A control message that has been read."""

    type: str
    token: str
    id: MessageId | None

    def __repr__(self) -> str:
        return f"Control({self.type!r}, …)"


class _Head(msgspec.Struct):
    type: str
    id: _Id = None


class _Data(msgspec.Struct):
    token: str


class _Body(msgspec.Struct):
    data: _Data


_read_head = json.decoder(_Head)
_read_body = json.decoder(_Body)


def may_be_control(message: str | bytes) -> bool:
    """Whether a message is worth reading: asked for each, so that it costs a search and no more."""
    return isinstance(message, str) and len(message) <= MAX_CONTROL_CHARACTERS and _MARK in message


def read_control(message: str) -> Control | None:
    """Read a control message. Returns None for what is none.

    Raises:
        InvalidMessage: It is one without a token.
    """
    try:
        head = _read_head(message, "message")
    except InvalidMessage:
        return None
    assert isinstance(head, _Head)
    if head.type not in (AUTHENTICATE, REFRESH):
        return None
    try:
        body = _read_body(message, "message")
    except InvalidMessage:
        raise InvalidMessage("invalid_message", "data has no token", id=head.id) from None
    assert isinstance(body, _Body)
    return Control(head.type, body.data.token, head.id)
