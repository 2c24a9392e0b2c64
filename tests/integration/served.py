"""The server of the scenarios, in a process of its own: `python -m tests.integration.served sansio asyncio`.

It writes its port to standard output. Over HTTP it tells what it holds (`/facts`) and pushes (`/push?count=…&size=…`).
"""

import asyncio
import gc
import json
import resource
import socket
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import uvicorn
import uvloop

from roomful import Consumer, Event, Hub, Limits, on
from roomful.endpoint.asgi_wire import AsgiWire
from roomful.hub import Connection
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.server import WebSocketProtocol

from .transports import SERVERS

__all__ = ("body",)

hub: Final = Hub(limits=Limits(handler_grace_s=0.1, cancel_timeout_s=0.1, linger_s=0.2))
timers: Final[weakref.WeakSet[asyncio.TimerHandle]] = weakref.WeakSet()
"""Every timer that was set and is still referred to."""


class Visitor(Consumer):
    """Comes and goes; may be in the middle of something when it goes."""

    async def connect(self, room: str) -> None:
        self.room = room
        await self.join(room)

    @on("hi")
    async def hi(self, data: str) -> str:
        await self.hub.push(self.room, Event("hi", data), key=f"{self.id}")
        return data

    @on("stick")
    async def stick(self) -> None:
        await asyncio.Event().wait()

    async def disconnect(self) -> None:
        await self.hub.push(self.room, Event("bye"))


class Member(Consumer):
    """Gets what is pushed."""

    async def connect(self) -> None:
        await self.join("room")


class Loop(asyncio.SelectorEventLoop):
    """Remembers its timers."""

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        handle = super().call_at(when, callback, *args, context=context)
        timers.add(handle)
        return handle


def body(number: int, size: int) -> str:
    """Return the data of the push with this number."""
    return f"{number}:".ljust(size, "x")


def facts() -> dict[str, Any]:
    """Return what the process holds."""
    gc.collect()
    now = asyncio.get_running_loop().time()
    statistics = hub.statistics()
    kept = (Connection, Consumer, AsgiWire, WebSocketProtocol)
    return {
        "connections": statistics.connections,
        "ending": statistics.ending,
        "rooms": statistics.rooms,
        "memberships": statistics.memberships,
        "paused": statistics.paused,
        "let_go": statistics.let_go,
        "stuck_handlers": statistics.stuck_handlers,
        "tasks": len(asyncio.all_tasks()),
        "timers": sum(not timer.cancelled() and timer.when() > now for timer in timers),
        "objects": sum(isinstance(thing, kept) for thing in gc.get_objects()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


async def push(count: int, size: int) -> dict[str, Any]:
    """Push as a plain program does; return the offsets."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    receipts = [await hub.push("room", Event("post", body(number, size))) for number in range(count)]
    return {
        "epoch": receipts[0].position.epoch,
        "offsets": [receipt.position.offset for receipt in receipts],
        "seconds": loop.time() - began,
    }


async def control(scope: Any, receive: Any, send: Any) -> None:
    """Answer over HTTP."""
    query = {name: int(values[0]) for name, values in parse_qs(scope["query_string"].decode()).items()}
    answer = facts() if scope["path"] == "/facts" else await push(**query)
    content = json.dumps(answer).encode()
    headers = [(b"content-length", str(len(content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


app: Final = ProtocolTypeRouter(
    {
        "http": control,
        "websocket": URLRouter(
            [route("/visit/{room}", Visitor.as_asgi(hub=hub)), route("/member", Member.as_asgi(hub=hub))]
        ),
    },
    hub=hub,
)


def main(name: str, loop: str) -> None:
    """Serve until the process is told to end."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    config = uvicorn.Config(app, ws=SERVERS[name], lifespan="on", log_level="warning", backlog=2048)
    print(listener.getsockname()[1], flush=True)  # noqa: T201 -- whoever started it waits for this line
    # uvloop's timers cannot be referred to weakly, so there they are not counted.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else Loop) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
