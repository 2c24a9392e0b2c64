"""A producer: pushes to the rooms of a hub from outside its processes.

It holds no connection of a client and delivers nothing; in a process that has a hub, push through that.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ..core.envelope import Envelope
from ..core.errors import InvalidState, LayerAway
from ..core.events import Event
from ..core.names import ConnectionId, RoomName, push_key, room_name
from ..core.policies import Policies, RoomPolicy
from ..core.ports import ProducerSeq, Receipt
from ..wire import EventsCodec

if TYPE_CHECKING:
    from ..layers.redis.blocking import BlockingPublisher
    from ..layers.redis.client import Client

__all__ = ("Producer",)

_RETRY_S: Final = 0.05


class Producer:
    """Pushes to rooms: `push` waits in the calling thread, `await apush(…)` on the event loop.

    It connects when it is first used. A push has the same guarantees as one of a hub: it takes effect once, also when
    its answer was lost, and its receipt says where it stands.

    Args:
        url: That of the hubs' layer: `redis://`, `rediss://` or `unix://`.
        rooms: The hubs' room policies. Without, a room goes on keeping what it keeps.
        hold_s: Seconds for which a push waits for a server that is away, instead of being refused.

    Raises:
        LayerError: The URL names no such layer, or a package is missing.
        PolicyError: A pattern of `rooms` cannot work.
    """

    def __init__(
        self, url: str, *, rooms: Mapping[str, RoomPolicy] | None = None, hold_s: float = 0.0
    ) -> None:
        from ..layers.redis import Bounds  # noqa: PLC0415 -- its packages are optional
        from .layer_url import redis_layer  # noqa: PLC0415

        layer = redis_layer(url)
        self._address = layer.address
        self._keys = layer.keys
        self._bounds = Bounds(hold_s=hold_s)
        self._policies = None if rooms is None else Policies(rooms)
        self._codec = EventsCodec()
        self._lock = threading.Lock()
        self._blocking: BlockingPublisher | None = None
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[Client] | None = None
        self._name = ""
        self._number = 0

    def __repr__(self) -> str:
        return f"<Producer {self._address}>"

    # ── Pushing ──

    def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> Receipt:
        """Push to every member of a room, and wait for the receipt. Any thread may push, also after a fork.

        Args:
            room: The room's name; a room without members is no error.
            message: An event; or a text or bytes, which every member gets as they are.
            exclude: A connection that gets the position alone.
            key: An idempotency key; see `Hub.push`.
            conflate: What the event replaces in the outbox of a slow member; see `Hub.push`.

        Returns:
            The position, and whether the push was a duplicate.

        Raises:
            RoomNameError: The name is too long or not printable.
            PushKeyError: The key is empty, longer than 200 bytes, or not printable.
            NotEncodable: The event's data cannot be written as JSON.
            LayerAway: The server is away; the push had no effect.
            PushInDoubt: The server went away before it had answered; the push may have taken effect, once.
            LayerError: The server cannot be used, or has refused the push.
            InvalidState: An event loop runs in this thread, which waiting would stop.
        """
        if _loop_runs():
            raise InvalidState("push would stop the event loop of this thread; use `await producer.apush(…)`")
        name, payload, keep = self._made(room, message, exclude, key, conflate)
        with self._lock:
            if self._blocking is None:
                from ..layers.redis.blocking import BlockingPublisher  # noqa: PLC0415 -- its packages are optional

                self._blocking = BlockingPublisher(self._address, self._keys, self._bounds)
        return self._blocking.publish(name, payload, key=key, keep=keep)

    async def apush(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> Receipt:
        """Push to every member of a room. As `push`, on the running event loop.

        Raises:
            InvalidState: The producer is in use on another running event loop.
        """
        name, payload, keep = self._made(room, message, exclude, key, conflate)
        client = await self._started()
        self._number += 1
        seq = ProducerSeq(self._name, self._number)
        return await client.publish(name, payload, seq, key=key, keep=keep)

    def _made(
        self,
        room: str,
        message: Event | str | bytes,
        exclude: ConnectionId | None,
        key: str | None,
        conflate: str,
    ) -> tuple[RoomName, bytes, str]:
        from ..layers.redis import AS_BEFORE, keep_text  # noqa: PLC0415 -- its packages are optional

        name = room_name(room)
        if key is not None:
            push_key(key)
        form, body = self._codec.pack(message)
        keep = AS_BEFORE if self._policies is None else keep_text(self._policies.of(name).retention)
        return name, Envelope(form, body, exclude, conflate).pack(), keep

    # ── Life ──

    async def _started(self) -> Client:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise InvalidState("producer is in use on another running event loop; make one for each")
            # What was under way on an event loop that is closed has died with it.
            self._loop, self._starting = loop, None
        if self._starting is None or (self._starting.done() and not _has_started(self._starting)):
            self._starting = asyncio.Task(self._connected(), loop=loop)
        return await asyncio.shield(self._starting)

    async def _connected(self) -> Client:
        from ..layers.redis import Timing  # noqa: PLC0415 -- its packages are optional
        from ..layers.redis.client import Client  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        until = loop.time() + self._bounds.hold_s
        while True:
            client = Client(
                self._address,
                self._keys,
                bounds=self._bounds,
                timing=Timing(),
                is_up=_nothing,
                is_down=_nothing,
            )
            try:
                await client.start()
            except LayerAway:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                self._name, self._number = secrets.token_hex(8), 0
                return client

    async def aclose(self) -> None:
        """End, once the pushes that are under way are answered or two seconds have passed. It may be used again."""
        starting, self._starting = self._starting, None
        if starting is not None and self._loop is asyncio.get_running_loop():
            starting.cancel()
            await asyncio.wait((starting,))
            if _has_started(starting):
                await starting.result().stop()
        self._loop = None
        self.close()

    def close(self) -> None:
        """Close what `push` has opened. It may be used again."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _has_started(starting: asyncio.Task[Client]) -> bool:
    return starting.done() and not starting.cancelled() and starting.exception() is None


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _nothing(*arguments: object) -> None:
    del arguments
