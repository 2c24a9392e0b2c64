"""Our consumer in a Django project: one query of the async ORM for each message."""

from __future__ import annotations

from bench.servers.orm_model import query, set_up
from bench.servers.serving import run_uvicorn, start

options = start()
set_up()

from roomful.django import Consumer  # noqa: E402 -- needs the settings


class Asking(Consumer, owns_wire=True):
    """Asks, and sends back what it got."""

    async def receive(self, message: str) -> None:
        """Answer."""
        await query(message)
        await self.send(message)


if __name__ == "__main__":
    run_uvicorn(Asking.as_asgi(), options, ws="roomful.server:WebSocketProtocol")
