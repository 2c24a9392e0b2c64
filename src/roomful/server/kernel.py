"""The kernel's share of a connection: how much it may hide, and how it is made to forget.

Everything here is best effort: a socket option that a platform lacks changes a figure, never a guarantee.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

from ..core.limits import Limits

if TYPE_CHECKING:
    import asyncio

__all__ = ("abort_without_linger", "tune")

_HIGH_WATER_BYTES: Final = Limits().max_write_buffer_bytes
# Without it a reader that never reads is given 3.8 MiB by the kernel before anybody notices; with it 135 KiB, at no
# cost for a fan-out (measured on Linux 6).
_NOTSENT_LOWAT_BYTES: Final = 16 * 1024
# Python 3.11 does not name it.
_TCP_NOTSENT_LOWAT: Final[int | None] = {"linux": 25, "darwin": 0x201}.get(sys.platform)
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def tune(transport: asyncio.Transport) -> None:
    """Bound what the transport and the kernel hold for one client, and send what is written at once."""
    limit_writes(transport, _HIGH_WATER_BYTES)
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _TCP_NOTSENT_LOWAT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOTSENT_LOWAT_BYTES)


def limit_writes(transport: asyncio.Transport, max_bytes: int) -> None:
    """Count the transport as full from `max_bytes` on, until a quarter of them is left."""
    # A quarter: with uvloop's own 16 bytes a writer would stand still until all is out.
    transport.set_write_buffer_limits(high=max_bytes, low=max_bytes // 4)


def abort_without_linger(transport: asyncio.Transport) -> None:
    """End a connection and drop what transport and kernel still hold.

    A plain `abort()` leaves a client that never reads in FIN-WAIT-1, with all its memory, for minutes.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
