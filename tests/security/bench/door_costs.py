"""What the door costs: a handshake with a token against a plain one, and an echo with limits against one without.

    python -m tests.security.bench.door_costs

One server process, all variants in it, in alternating rounds; CPU of the server by `/proc`: the median of the rounds'
ratios, their quartiles, and the ratio of the lowest costs, which other programs on the machine disturb least.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from roomful import Admission, Consumer, Hub, JwtAuth
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from tests.auth.keys import SECRET, token

__all__ = ("app",)

ROOT: Final = Path(__file__).parents[3]
MESSAGE: Final = b"\x81\xfe\x00\x80" + bytes(4) + b"x" * 128
ANSWER: Final = b"\x81\x7e\x00\x80" + b"x" * 128
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Echo(Consumer, owns_wire=True):
    """Sends back what comes."""

    async def receive(self, message: str) -> None:
        await self.send(message)


HUBS: Final = {
    "plain": Hub(),
    "token": Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"])),
    "limits": Hub(admission=Admission(messages_per_s=1e9, bytes_per_s=1e12)),
}


def make_app() -> Any:
    """Return an application with a path for each hub."""
    return ProtocolTypeRouter(
        {"websocket": URLRouter([route(f"/{name}", Echo.as_asgi(hub=hub)) for name, hub in HUBS.items()])}
    )


app = make_app()


class Server:
    """The process, and its CPU time."""

    def __init__(self, target: str = "tests.security.bench.door_costs:app") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = [sys.executable, "-m", "roomful", "serve", target]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), "--log-level", "error"],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,  # the audit log
            env={**os.environ, "PYTHONPATH": f"{ROOT}"},
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("server did not start")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Return the CPU time that it has used, at the resolution of the scheduler's own count."""
        # The first field of schedstat is in nanoseconds; stat's ticks would be too coarse.
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def handshake(path: str, header: str = "") -> bytes:
    """Return a request."""
    return (
        f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{header}\r\n"
    ).encode()


async def connect(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(head.decode())
    return reader, writer


async def handshakes(server: Server, request: bytes, count: int) -> float:
    """Return the server's CPU for one handshake, its end included."""
    before = server.cpu_s()
    for _ in range(count):
        _, writer = await connect(server.port, request)
        writer.transport.abort()
    await asyncio.sleep(0.02)  # the server's side of the last one
    return (server.cpu_s() - before) / count


async def echoes(server: Server, request: bytes, count: int, window: int) -> float:
    """Return the server's CPU for one echo, with `window` messages under way."""
    reader, writer = await connect(server.port, request)
    before = server.cpu_s()
    for _ in range(count // window):
        writer.write(MESSAGE * window)
        await reader.readexactly(len(ANSWER) * window)
    used = server.cpu_s() - before
    writer.transport.abort()
    return used / count


async def measure(rounds: int, count: int) -> None:
    server = Server()
    bearer = f"Authorization: Bearer {token()}\r\n"
    pairs = {
        "handshake, HS256 token": (
            lambda: handshakes(server, handshake("plain"), count),
            lambda: handshakes(server, handshake("token", bearer), count),
        ),
        "echo, one under way, limits": (
            lambda: echoes(server, handshake("plain"), count * 5, 1),
            lambda: echoes(server, handshake("limits"), count * 5, 1),
        ),
        "echo, sixteen under way, limits": (
            lambda: echoes(server, handshake("plain"), count * 40, 16),
            lambda: echoes(server, handshake("limits"), count * 40, 16),
        ),
    }
    try:
        for name, (plain, guarded) in pairs.items():
            await plain()
            await guarded()
            costs: tuple[list[float], list[float]] = ([], [])
            for turn in range(rounds):
                for which in (0, 1) if turn % 2 == 0 else (1, 0):
                    costs[which].append(await (plain, guarded)[which]())
            ratios = [b / a for a, b in zip(*costs, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(
                f"{name}: plain {statistics.median(costs[0]) * 1e6:.1f} µs, ratio {middle:.3f} "
                f"({low:.3f}–{high:.3f}), of the lowest {min(costs[1]) / min(costs[0]):.3f}"
            )
    finally:
        server.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=20, help="pairs of measurements")
    options.add_argument("--count", type=int, default=300, help="handshakes of one measurement")
    chosen = options.parse_args()
    asyncio.run(measure(chosen.rounds, chosen.count))
