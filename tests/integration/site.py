"""A site: consumers behind a hub and a router, on one of the transports; and the ledger that judges what came."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from roomful import Consumer, Event, Hub, Limits, Position, Receipt, RoomPolicy
from roomful.core.ledger import Ledger, Verdict, digest
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import Client, Received

from .transports import IN_PROCESS, SERVERS, Server, quiet, reach
from .waiting import until

__all__ = ("Audit", "Site")


class Site:
    """An application that is served.

    Attributes:
        transport: The transport's name.
        hub: Its hub.
        server: Its server; None without a network.
    """

    def __init__(
        self,
        transport: str,
        consumers: Mapping[str, type[Consumer]],
        limits: Limits,
        rooms: Mapping[str, RoomPolicy] | None = None,
        **settings: Any,
    ) -> None:
        self.transport = transport
        self.hub = Hub(limits=limits, rooms=rooms)
        self.app = ProtocolTypeRouter(
            {
                "websocket": URLRouter(
                    [route(path, cls.as_asgi(hub=self.hub)) for path, cls in consumers.items()]
                )
            },
            hub=self.hub,
        )
        self.server = None if transport == IN_PROCESS else Server(self.app, SERVERS[transport], **settings)

    async def start(self) -> None:
        """Return once clients may connect."""
        if self.server is None:
            await self.hub.start()
        else:
            await self.server.start()

    def connect(self, path: str = "/", **how: Any) -> AbstractAsyncContextManager[Client]:
        """Connect; as `roomful.testing.connect`."""
        return reach(self.app, self.server, path, **how)

    async def idle(self) -> None:
        """Wait until nothing is left of any connection, by the hub's own count."""
        await until(lambda: self.left_over == {})

    @property
    def left_over(self) -> dict[str, int]:
        """What the hub still holds."""
        now = self.hub.statistics()
        counts = {
            "connections": now.connections,
            "ending": now.ending,
            "rooms": now.rooms,
            "memberships": now.memberships,
            "present": now.present,
            "paused": now.paused,
            "outbox_bytes": now.outbox_bytes,
            "stuck_handlers": now.stuck_handlers,
            "handler_threads": now.handler_threads,
        }
        return {name: count for name, count in counts.items() if count}

    async def stop(self) -> None:
        """End, when every client has gone; nothing may be left."""
        try:
            await self.idle()
        except TimeoutError:
            raise AssertionError(f"the hub still holds {self.left_over}") from None
        finally:
            if self.server is None:
                await self.hub.close()
            else:
                await quiet(self.server)
                await self.server.stop()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        assert not running, f"tasks still run: {running}"


class Audit:
    """Keeps the ledger of a test: what was pushed to rooms, and what each client got of it."""

    def __init__(self) -> None:
        self.ledger = Ledger()

    async def push(self, hub: Hub, room: str, event: Event, **how: Any) -> Receipt:
        """Push, and record it."""
        receipt = await hub.push(room, event, **how)
        self.pushed(room, receipt.position, event)
        return receipt

    def pushed(self, room: str, at: Position, event: Event) -> None:
        """Record a push by its receipt."""
        self.ledger.pushed((room, at.epoch), at.offset, _digest(event.type, event.data))

    def joined(self, name: str, joined: Received) -> None:
        """Record that a client is a member from here on."""
        assert joined.type == "roomful.joined"
        assert joined.pos is not None
        self.ledger.expect(name, (joined.room, joined.pos.epoch), after=joined.pos.offset)

    def excluded(self, name: str, room: str, at: Position) -> None:
        """Record that a push is not meant for a client."""
        self.ledger.excluded(name, (room, at.epoch), [(at.offset, at.offset)])

    def arrived(self, name: str, received: Received) -> None:
        """Record an event that a client got."""
        assert received.pos is not None
        stream = (received.room, received.pos.epoch)
        self.ledger.arrived(name, stream, received.pos.offset, _digest(received.type, received.data))

    def assert_clean(self, *, at_least: int = 1, allow: tuple[Verdict, ...] = ()) -> None:
        """Raise unless everybody got everything in order and once."""
        self.ledger.judge().assert_clean(allow=allow, at_least=at_least)


def _digest(type_: str | None, data: object) -> int:
    return digest(data if isinstance(data, bytes) else repr((type_, data)))
