"""Resuming: where a client that comes back says that it stood, in `?resume=` of its address.

It reads the JSON object of room and position, and judges neither: a position that was never one is the join's to tell.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import parse_qsl

from ..core.errors import Refuse

__all__ = ("read_resume",)

_MAX_BYTES: Final = 64 * 1024  # servers bound the whole request line likewise
_MAX_FIELDS: Final = 1000


def read_resume(query: bytes) -> dict[str, str]:
    """Return the positions by room that a query names, or none.

    Raises:
        Refuse: With 400: what stands there is no JSON object of texts, or is too long.
    """
    if b"resume=" not in query:
        return {}
    try:
        if len(query) > _MAX_BYTES:
            raise ValueError(f"longer than {_MAX_BYTES} bytes")
        fields = dict(parse_qsl(query.decode("ascii"), max_num_fields=_MAX_FIELDS))
        text = fields.get("resume")
        positions = {} if text is None else json.loads(text)
        if not isinstance(positions, dict) or not all(isinstance(at, str) for at in positions.values()):
            raise ValueError("expected an object of texts")
        return positions
    except (ValueError, RecursionError) as error:
        raise Refuse(400, f"resume in the query cannot be read: {error}") from None
