"""A node under faults: `python -m tests.faults.node LAYER PORT`. Members listen, senders have many events pushed."""

import asyncio
import logging
import sys
from typing import Any

import uvicorn

from roomful import Consumer, Event, Hub, LayerAway, LayerError, PushInDoubt, RoomPolicy, on
from roomful.layers.redis import RedisLayer
from roomful.routing import ProtocolTypeRouter, URLRouter, route

logging.basicConfig(level=logging.WARNING)
layer = RedisLayer(sys.argv[1])
hub = Hub(layer, rooms={"kept:*": RoomPolicy(history=100_000, history_bytes=64 * 1024 * 1024)})


class Member(Consumer):
    async def connect(self, room: str) -> None:
        await self.join(room)


class Sender(Consumer):
    async def connect(self) -> None:
        await self.accept()

    @on("push")
    async def push_many(self, data: Any) -> list[str]:
        """Push `count` events at once, and tell what became of each."""
        room, sender, first, count, pad = data
        pushes = [
            self.hub.push_nowait(room, Event("e", [sender, number, "x" * pad]))
            for number in range(first, first + count)
        ]
        outcomes = []
        for push in pushes:
            try:
                outcomes.append(str((await push).position))
            except PushInDoubt:
                outcomes.append("doubt")
            except LayerAway:
                outcomes.append("away")
            except LayerError as error:
                outcomes.append(f"refused {error}")
        return outcomes

    @on("status")
    async def status(self) -> list[Any]:
        status = layer.status()
        return [status.is_up, status.pending, status.suspected, status.outages, self.hub.statistics().gaps]


app = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [route("/member/{room}", Member.as_asgi(hub=hub)), route("/sender", Sender.as_asgi(hub=hub))]
        )
    },
    hub=hub,
)


async def serve() -> None:
    config = uvicorn.Config(
        app, port=int(sys.argv[2]), ws="roomful.server:WebSocketProtocol", lifespan="on", log_level="warning"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 -- uvicorn sets no event
        await asyncio.sleep(0.01)
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(f"{port}\n")  # whoever started it waits for this line
        sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(serve())
