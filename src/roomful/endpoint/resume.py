"""Resuming: what a client that comes back says of itself in its address.

    ?resume={"room": "pos", …}      where it stood
    ?client=name                    what it calls itself, so that a message that it sends again is handled once

It judges no position: one that was never one is the join's to tell.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import parse_qsl

from ..core.errors import Refuse

__all__ = ("read_client", "read_resume")

_MAX_BYTES: Final = 64 * 1024  # servers bound the whole request line likewise
_MAX_FIELDS: Final = 1000
_CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def read_resume(query: bytes) -> dict[str, str]:
    """Return the positions by room that a query names, or none.

    Raises:
        Refuse: With 400: what stands there is no JSON object of texts, or is too long.
    """
    text = _field(query, "resume")
    try:
        positions = json.loads(text) if text else {}
        if not isinstance(positions, dict) or not all(isinstance(at, str) for at in positions.values()):
            raise ValueError("expected an object of texts")
        return positions
    except (ValueError, RecursionError) as error:
        raise Refuse(400, f"resume in the query cannot be read: {error}") from None


def read_client(query: bytes) -> str | None:
    """Return what a client calls itself in a query, or None.

    Raises:
        Refuse: With 400: it is not 1 to 64 letters, digits, `-` and `_` of ASCII.
    """
    name = _field(query, "client")
    if name is not None and not _CLIENT.fullmatch(name):
        raise Refuse(400, "client in the query is no name; expected 1 to 64 of A-Z a-z 0-9 - _")
    return name


def _field(query: bytes, name: str) -> str | None:
    if f"{name}=".encode() not in query:
        return None
    try:
        if len(query) > _MAX_BYTES:
            raise ValueError(f"longer than {_MAX_BYTES} bytes")
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        return dict(fields).get(name)
    except ValueError as error:
        raise Refuse(400, f"{name} in the query cannot be read: {error}") from None
