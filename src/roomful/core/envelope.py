"""The envelope: what a layer carries from a push to the rooms of every process.

It holds the encoded body, and beside it what a hub must know without decoding the body. It does not encode bodies:
that is a codec's work.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from .errors import LayerError, PolicyError
from .names import ConnectionId

__all__ = ("MAX_CONFLATE_BYTES", "Envelope", "Form")

MAX_CONFLATE_BYTES: Final = 1024
"""Longest text that names what a push replaces: it travels with the push and waits in outboxes."""

_VERSION: Final = 1
# version, form, bytes of the excluded connection's id, bytes of the conflation key
_HEAD: Final = struct.Struct(">BBBH")
_MAX_EXCLUDE_BYTES: Final = 255
_PLAIN: Final = {form: _HEAD.pack(_VERSION, form, 0, 0) for form in range(4)}


class Form(IntEnum):
    """What the bytes of a body are."""

    JSON = 0
    """The inside of an event's JSON object: `"type":"post","data":{…}` in UTF-8."""
    BINARY = 1
    """Two bytes with the length of the inside of the event's JSON header, that inside, and the event's bytes."""
    TEXT = 2
    """A text message of the application's own, in UTF-8."""
    BYTES = 3
    """A binary message of the application's own."""


_LARGE: Final = (Form.BINARY, Form.BYTES)  # images and the like, which are worth a view


@dataclass(frozen=True, slots=True)
class Envelope:
    """One push, encoded once.

    Attributes:
        form: What `body` is.
        body: The encoded event, text or bytes. Of a payload that was unpacked, bytes are seen and not copied.
        exclude: The connection that gets the push's position and not its body.
        conflate_key: Which older entries of a slow member this push replaces; empty for none.
    """

    form: Form
    body: bytes | memoryview = field(repr=False)
    exclude: ConnectionId | None = None
    conflate_key: str = ""

    def pack(self) -> bytes:
        """Return the bytes that travel through a layer.

        Raises:
            PolicyError: The conflation key is no text that can be written as UTF-8, or is too long.
        """
        if self.exclude is None and not self.conflate_key:
            return b"".join((_PLAIN[self.form], self.body))
        # The id may come from a client. Ours are short ASCII: what is cut or replaced here names nobody anyway.
        exclude = (self.exclude or "").encode("ascii", "replace")[:_MAX_EXCLUDE_BYTES]
        key = self._packed_key()
        head = _HEAD.pack(_VERSION, self.form, len(exclude), len(key))
        return b"".join((head, exclude, key, self.body))

    def _packed_key(self) -> bytes:
        if not isinstance(self.conflate_key, str):
            raise PolicyError(f"conflate is of type {type(self.conflate_key).__name__}; expected str")
        try:
            key = self.conflate_key.encode()
        except UnicodeEncodeError:
            raise PolicyError("conflate has a lone surrogate, which UTF-8 cannot write") from None
        if len(key) > MAX_CONFLATE_BYTES:
            raise PolicyError(f"conflate is {len(key)} bytes; the limit is {MAX_CONFLATE_BYTES}")
        return key

    @classmethod
    def unpack(cls, payload: bytes) -> Envelope:
        """Read what `pack` wrote.

        Raises:
            LayerError: The payload is of another version, or was not written by Roomful.
        """
        try:
            version, form, excluded, keyed = _HEAD.unpack_from(payload)
            if version != _VERSION:
                raise LayerError(f"payload is of version {version}; expected {_VERSION}")
            after_exclude = _HEAD.size + excluded
            start = after_exclude + keyed
            if len(payload) < start:
                raise LayerError(f"payload is {len(payload)} bytes; its head asks for {start}")
            return cls(
                Form(form),
                memoryview(payload)[start:] if form in _LARGE else payload[start:],
                ConnectionId(payload[_HEAD.size : after_exclude].decode()) if excluded else None,
                payload[after_exclude:start].decode() if keyed else "",
            )
        except (struct.error, ValueError) as error:
            raise LayerError("payload was not written by Roomful") from error
