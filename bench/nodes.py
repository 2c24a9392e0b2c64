"""Two nodes and one Redis, side by side with others: `python -m bench.nodes`.

Needs a Redis program and, beside dev.txt, `channels_redis` and `python-socketio`; who is missing is left out. Each node
is a process of uvicorn with half of the members, and some members have one message pushed each, and the next when all
members have got those. What counts is the CPU time of both nodes for each delivery; the Redis server's own stands
beside it.

The bias: where several messages come together, ours joins them and the others do not. `--under-way 1` is fair to them.
"""

# ruff: noqa: D102, PLC0415 -- each node imports what it serves with alone, and its classes are one-line programs
from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import picows
import uvicorn
import uvloop

ROWS = {
    "roomful": "roomful",
    "channels": "channels_redis",
    "channels-pubsub": "channels_redis",
    "socketio": "socketio",
}
"""What is measured, and the package that it needs."""

TEXT = "x" * 128


# ── The nodes ──


def roomful_app(url: str) -> Any:
    """A room on the Redis layer."""
    from roomful import Consumer, Hub
    from roomful.routing import ProtocolTypeRouter, URLRouter, route

    hub = Hub(url)

    class Member(Consumer, owns_wire=True):
        async def connect(self) -> None:
            await self.join("room")

        async def receive(self, message: str) -> None:
            await self.hub.push("room", message)

    return ProtocolTypeRouter({"websocket": URLRouter([route("/", Member.as_asgi(hub=hub))])}, hub=hub)


def channels_app(url: str, backend: str) -> Any:
    """A group on one of Channels' Redis layers."""
    from django.conf import settings

    layer = {"BACKEND": backend, "CONFIG": {"hosts": [url]}}
    settings.configure(CHANNEL_LAYERS={"default": layer})
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Member(AsyncWebsocketConsumer):  # type: ignore[misc] # channels has no types
        async def connect(self) -> None:
            await self.channel_layer.group_add("room", self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard("room", self.channel_name)

        async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
            await self.channel_layer.group_send("room", {"type": "push", "text": text_data})

        async def push(self, event: dict[str, Any]) -> None:
            await self.send(event["text"])

    return Member.as_asgi()


def socketio_app(url: str) -> Any:
    """A room on python-socketio's Redis manager."""
    import socketio

    server = socketio.AsyncServer(async_mode="asgi", client_manager=socketio.AsyncRedisManager(url))

    @server.event
    async def connect(sid: str, environ: object) -> None:
        await server.enter_room(sid, "room")

    @server.event
    async def e(sid: str, data: object) -> None:
        await server.emit("e", data, room="room")

    return socketio.ASGIApp(server)


def serve(name: str, url: str) -> None:
    """Be a node; write the port."""
    match name:
        case "roomful":
            app = roomful_app(url)
        case "channels":
            app = channels_app(url, "channels_redis.core.RedisChannelLayer")
        case "channels-pubsub":
            app = channels_app(url, "channels_redis.pubsub.RedisPubSubChannelLayer")
        case _:
            app = socketio_app(url)
    ws: Any = "roomful.server:WebSocketProtocol" if name == "roomful" else "auto"
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, ws=ws, loop="uvloop", log_level="warning", lifespan="auto")
    uvloop.run(uvicorn.Server(config).serve([listener]))


# ── The members ──


class Listener(picows.WSListener):
    """Counts what comes."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.ready = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        if not self._crowd.is_socketio:
            self.ready.set_result(None)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != picows.WSMsgType.TEXT:
            return
        if not self._crowd.is_socketio:
            self._crowd.count += 1
            return
        # Engine.IO 4: 0 open, 2 ping; Socket.IO 5: 40 connect, 42 event
        text = frame.get_payload_as_bytes()
        if text.startswith(b"42"):
            self._crowd.count += 1
        elif text.startswith(b"0"):
            transport.send(picows.WSMsgType.TEXT, b"40")
        elif text.startswith(b"40"):
            self.ready.set_result(None)
        elif text == b"2":
            transport.send(picows.WSMsgType.TEXT, b"3")


class Crowd:
    """All members."""

    def __init__(self, name: str) -> None:
        self.is_socketio = name == "socketio"
        self.count = 0
        self.transports: list[picows.WSTransport] = []

    async def join(self, port: int, members: int) -> None:
        """Connect so many to one node."""
        path = "/socket.io/?EIO=4&transport=websocket" if self.is_socketio else "/"
        for _ in range(members):
            transport, listener = await picows.ws_connect(
                lambda: Listener(self), f"ws://127.0.0.1:{port}{path}"
            )
            await listener.ready
            self.transports.append(transport)

    def push(self, number: int) -> None:
        """Have one message pushed by the member with this number."""
        text = f'42["e","{TEXT}"]' if self.is_socketio else TEXT
        self.transports[number].send(picows.WSMsgType.TEXT, text.encode())


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def node(name: str, url: str) -> AsyncIterator[tuple[int, int]]:
    """Start a node; give its port and process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.nodes", "--serve", name, "--url", url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process.pid
    finally:
        process.kill()
        await process.wait()


async def measure(name: str, url: str, redis_pid: int, args: argparse.Namespace) -> dict[str, float]:
    """Measure one row once."""
    pushes = max(5, (args.pushes if name == "roomful" else args.pushes // 25) // args.under_way)
    async with node(name, url) as (first, first_pid), node(name, url) as (second, second_pid):
        crowd = Crowd(name)
        await crowd.join(first, args.members)
        await crowd.join(second, args.members)
        everybody = 2 * args.members
        waits = []
        for turn in range(pushes + 5):
            if turn == 5:
                cpu = [cpu_s(pid) for pid in (first_pid, second_pid, redis_pid)]
                before = crowd.count
            goal = crowd.count + everybody * args.under_way
            began = time.perf_counter()
            for number in range(args.under_way):
                crowd.push(number)
            until = began + 20
            while crowd.count < goal and time.perf_counter() < until:  # noqa: ASYNC110 -- members set no event
                await asyncio.sleep(0)
            waits.append(time.perf_counter() - began)
        used = [cpu_s(pid) - at for pid, at in zip((first_pid, second_pid, redis_pid), cpu, strict=True)]
        deliveries = crowd.count - before
        return {
            "µs a delivery, both nodes": (used[0] + used[1]) / deliveries * 1e6,
            "µs a delivery, node that pushes": used[0] / deliveries * 2e6,
            "µs a delivery, other node": used[1] / deliveries * 2e6,
            "µs a delivery, Redis": used[2] / deliveries * 1e6,
            "ms until all have it": statistics.median(waits[5:]) * 1e3,
            "missing": float(pushes * everybody * args.under_way - deliveries),
        }


def main() -> None:
    """Measure each row in turn, some times, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=500, help="on each node")
    parser.add_argument("--pushes", type=int, default=1000, help="of ours; the others get a 25th")
    parser.add_argument("--under-way", type=int, default=16, help="members that push at once")
    parser.add_argument("--only", choices=ROWS, help="one row alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--redis", default=shutil.which("redis-server"))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.url)
        return
    rows = [name for name, package in ROWS.items() if find_spec(package) and args.only in {None, name}]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    with tempfile.TemporaryDirectory() as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["--port", str(port), "--save", "", "--dir", folder]
        with subprocess.Popen([args.redis, *options], stdout=subprocess.DEVNULL) as server:
            time.sleep(0.5)
            for _ in range(args.repeats):
                for name in rows:
                    results[name].append(
                        uvloop.run(measure(name, f"redis://127.0.0.1:{port}", server.pid, args))
                    )
            server.kill()
    for name, samples in results.items():
        figures = {figure: statistics.median(sample[figure] for sample in samples) for figure in samples[0]}
        print(f"{name:16} " + "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
