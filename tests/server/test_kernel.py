"""`kernel`: what is set on a socket, and how one is dropped with all that it holds."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from roomful.server import kernel
from tests.server.apps import echo
from tests.server.peers import Adopting, FakePeer
from tests.server.serving import RawClient, serve


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers of socket options are Linux's")
async def test_options_of_an_open_connection() -> None:
    """DESIGN §5.6: send at once, hide little, and pause at 64 KiB however the loop would have it."""
    async with serve(echo) as served:
        await RawClient.open(served)
        (wire,) = served.ours()
        sock = wire._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, 25) == 16 * 1024
        assert wire._transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)  # type: ignore[attr-defined]


async def test_abort_resets_the_connection() -> None:
    """A FIN would leave the kernel with all that a stuck client has not taken."""
    app = Adopting(FakePeer())
    async with serve(app) as served:
        client = await RawClient.open(served)
        (await app.until_adopted()).abort()
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)


class FakeSocket:
    def __init__(self, family: int, *, fails: bool = False) -> None:
        self.family = family
        self.fails = fails
        self.options: list[tuple[int, int]] = []

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        if self.fails:
            raise OSError("not supported")
        self.options.append((level, name))


class FakeTransport(asyncio.Transport):
    def __init__(self, sock: FakeSocket | None) -> None:
        super().__init__({"socket": sock})
        self.limits: tuple[int | None, int | None] | None = None
        self.aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("sock", [None, FakeSocket(socket.AF_UNIX), FakeSocket(socket.AF_INET, fails=True)])
def test_sockets_without_the_options_are_served_all_the_same(sock: FakeSocket | None) -> None:
    transport = FakeTransport(sock)
    kernel.tune(transport)
    assert transport.limits == (64 * 1024, 16 * 1024)
    assert sock is None or sock.options == []
    kernel.abort_without_linger(transport)
    assert transport.aborted
