"""A pusher for unit tests of use cases and consumers: it records what it is told, and delivers nothing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from dataclasses import dataclass
from typing import Literal

from ..core.close_codes import CloseCode
from ..core.errors import UnknownConnection
from ..core.events import Event
from ..core.names import ConnectionId, RoomName, push_key, room_name
from ..core.ports import Addressed, Present, Receipt
from ..core.positions import Position

__all__ = ("FakePusher", "Pushed")


@dataclass(frozen=True, slots=True)
class Pushed:
    """One push."""

    room: RoomName
    message: Event | str | bytes
    exclude: ConnectionId | None = None
    key: str | None = None


class FakePusher:
    """Implements the port `Pusher`, with the hub's own rules for names and keys.

    Attributes:
        pushed: Every push that took effect, in order.
        sent: Every direct send: the connection's id, and the message.
        disconnected: Every connection that was closed: its id, the code and the reason.
        dispatched: Every dispatch that took effect, in order; `room` is the group.
        present: Who is present in which room, and what each says of itself; empty unless a test fills it.
        unknown: Ids that no connection has; sending to one raises `UnknownConnection`.
    """

    def __init__(self) -> None:
        self.pushed: list[Pushed] = []
        self.sent: list[tuple[ConnectionId, Event | str | bytes]] = []
        self.disconnected: list[tuple[ConnectionId, int, str]] = []
        self.dispatched: list[Pushed] = []
        self.present: dict[str, dict[str, object]] = {}
        self.unknown: set[ConnectionId] = set()
        self._lock = threading.Lock()
        self._failures: list[Exception] = []
        self._keys: dict[tuple[RoomName, str], Receipt] = {}

    def pushed_to(self, room: str) -> list[Event | str | bytes]:
        """Return what was pushed to one room, in order."""
        return [push.message for push in self.pushed if push.room == room]

    def fail_next(self, error: Exception) -> None:
        """Let the next push, send or disconnect raise."""
        self._failures.append(error)

    async def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
    ) -> Receipt:
        """Record a push; each room numbers its own.

        Raises:
            RoomNameError, PushKeyError: The hub would refuse the name, or the key.
        """
        return self._push(room, message, exclude, key)

    def push_nowait(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
    ) -> asyncio.Future[Receipt]:
        """Record a push, in a running event loop; as `push`."""
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        receipt.set_result(self._push(room, message, exclude, key))
        return receipt

    def push_threadsafe(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
    ) -> concurrent.futures.Future[Receipt]:
        """Record a push, from any thread; what `push` would raise is raised by the future's `result`."""
        receipt: concurrent.futures.Future[Receipt] = concurrent.futures.Future()
        try:
            receipt.set_result(self._push(room, message, exclude, key))
        except Exception as error:  # noqa: BLE001 -- it is the future's, whatever it is
            receipt.set_exception(error)
        return receipt

    async def dispatch(
        self,
        group: str,
        event: Event,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        on_full: Literal["tell", "refuse"] = "tell",
    ) -> Receipt:
        """Record a dispatch; each group numbers its own.

        Raises:
            RoomNameError, PushKeyError: The hub would refuse the name, or the key.
        """
        del on_full
        name = room_name(group, what="group name")
        if key is not None:
            push_key(key)
        self._fail()
        self.dispatched.append(Pushed(name, event, _id_of(exclude), key))
        return Receipt(Position("fake", sum(one.room == name for one in self.dispatched)))

    async def presence(self, room: str) -> Present:
        """Return who is present, by `present`.

        Raises:
            RoomNameError: The hub would refuse the name.
        """
        name = room_name(room)
        self._fail()
        return Present(Position("fake", 0), dict(self.present.get(name, {})))

    async def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        """Record a direct send.

        Raises:
            UnknownConnection: The id is among `unknown`.
        """
        self._fail(connection_id)
        self.sent.append((connection_id, message))

    async def disconnect(
        self, connection_id: ConnectionId, code: int = CloseCode.NORMAL, reason: str = ""
    ) -> None:
        """Record that a connection was closed.

        Raises:
            UnknownConnection: The id is among `unknown`.
        """
        self._fail(connection_id)
        self.disconnected.append((connection_id, int(code), reason))
        self.unknown.add(connection_id)

    def _push(
        self,
        room: str,
        message: Event | str | bytes,
        exclude: ConnectionId | Addressed | None,
        key: str | None,
    ) -> Receipt:
        name = room_name(room)
        if key is not None:
            push_key(key)
        self._fail()
        with self._lock:
            if key is not None and (earlier := self._keys.get((name, key))) is not None:
                return Receipt(earlier.position, duplicate=True)
            self.pushed.append(Pushed(name, message, _id_of(exclude), key))
            receipt = Receipt(Position("fake", len(self.pushed_to(name))))
            if key is not None:
                self._keys[name, key] = receipt
            return receipt

    def _fail(self, connection_id: ConnectionId | None = None) -> None:
        if self._failures:
            raise self._failures.pop(0)
        if connection_id in self.unknown:
            raise UnknownConnection(str(connection_id))


def _id_of(exclude: ConnectionId | Addressed | None) -> ConnectionId | None:
    return exclude if exclude is None or isinstance(exclude, str) else exclude.id
