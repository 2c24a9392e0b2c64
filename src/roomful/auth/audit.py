"""The audit log: one structured line for whoever is admitted, refused, expired, revoked or limited.

The fields stand in the line as `name=value`, and in `LogRecord.audit` as a dict, for a formatter that writes JSON.
No token, ticket, payload, header or claim is among them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ("Throttle", "admitted", "expired", "limited", "logger", "refused", "renewed", "revoked")

logger: Final = logging.getLogger("roomful.audit")

_MAX_PATH_CHARACTERS: Final = 200


class Throttle:
    """Lets through a number of lines a second of each kind, so that a flood of handshakes does not fill a disk.

    Pure but for its clock.

    Args:
        lines_per_s: Lines of one kind.
        clock: A monotonic time in seconds.
    """

    __slots__ = ("_clock", "_counts", "_lines_per_s", "_second")

    def __init__(self, lines_per_s: int = 50, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines_per_s = lines_per_s
        self._clock = clock
        self._second = 0
        self._counts: dict[str, int] = {}

    def admit(self, kind: str) -> bool:
        """Whether a line of this kind is to be written."""
        second = int(self._clock())
        if second != self._second:
            left_out = {
                kind: n - self._lines_per_s for kind, n in self._counts.items() if n > self._lines_per_s
            }
            self._second = second
            self._counts.clear()
            if left_out:
                logger.warning("left out %s", left_out, extra={"audit": {"event": "left_out", **left_out}})
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return count <= self._lines_per_s


_throttle: Final = Throttle()


def admitted(connection: str, principal: str, address: str | None) -> None:
    """Somebody has come in."""
    _write(logging.INFO, "admitted", connection=connection, principal=principal, address=address)


def refused(status: int, why: str, scope: Mapping[str, Any], address: str | None = None) -> None:
    """Somebody may not come in."""
    if address is None and scope.get("client"):
        address = scope["client"][0]
    path = str(scope.get("path", ""))[:_MAX_PATH_CHARACTERS]
    _write(logging.WARNING, "refused", status=status, why=why, path=path, address=address)


def renewed(connection: str, principal: str) -> None:
    """Somebody has brought a new token."""
    _write(logging.INFO, "renewed", connection=connection, principal=principal)


def expired(connection: str, principal: str) -> None:
    """Somebody's token holds no longer, and no new one has come."""
    _write(logging.INFO, "expired", connection=connection, principal=principal)


def revoked(connection: str, principal: str, code: int) -> None:
    """Somebody has been sent away by the application."""
    _write(logging.INFO, "revoked", connection=connection, principal=principal, code=code)


def limited(connection: str, principal: str, why: str) -> None:
    """Somebody has gone beyond a limit."""
    _write(logging.WARNING, "limited", connection=connection, principal=principal, why=why)


def _write(level: int, event: str, **fields: object) -> None:
    if logger.isEnabledFor(level) and _throttle.admit(event):
        # What comes from outside is written with escapes, so that it cannot begin a line of its own.
        text = " ".join(f"{name}={value!a}" for name, value in fields.items() if value is not None)
        logger.log(level, "%s %s", event, text, extra={"audit": {"event": event, **fields}})
