"""Memberships: which rooms exist in this process, who is in them, and which of them the layer delivers.

A room is attached to the layer when its first member joins and detached when its last one has left. Nothing here writes
to a room: that is the flusher's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..core.errors import ConnectionClosed, TooManyRooms
from ..core.names import RoomName, room_name
from .rooms import Room

if TYPE_CHECKING:
    from ..core.limits import Limits
    from ..core.ports import Layer
    from ..core.positions import Position
    from .connection import Connection
    from .outbox import Entry

__all__ = ("Memberships",)


class Memberships:
    """The rooms of one hub, on one event loop.

    Args:
        layer: Delivers the rooms.
        limits: How long names may be, and how many rooms a connection may be in.

    Attributes:
        rooms: The rooms with a member, or with a join under way.
    """

    __slots__ = ("_attaching", "_layer", "_limits", "rooms")

    def __init__(self, layer: Layer, limits: Limits) -> None:
        self.rooms: dict[RoomName, Room[Connection]] = {}
        self._attaching: dict[RoomName, asyncio.Task[None]] = {}
        self._layer = layer
        self._limits = limits

    def count(self) -> int:
        """Return the number of members over all rooms."""
        return sum(len(room.members) for room in self.rooms.values())

    def name_of(self, room: str) -> RoomName:
        """Return `room` as a name.

        Raises:
            RoomNameError: It is too long or not printable.
        """
        # A room that exists has a valid name, which spares the check on the hot path.
        known = self.rooms.get(RoomName(room))
        if known is not None:
            return known.name
        return room_name(room, max_bytes=self._limits.max_room_name_bytes)

    async def join(self, connection: Connection, name: RoomName) -> Position:
        """Make a connection a member of a room; return the position after which it gets every event.

        A second join of the same room changes nothing.

        Raises:
            TooManyRooms: The connection is in as many rooms as the limits allow.
            ConnectionClosed: The connection ended before it was a member.
            LayerError: The layer cannot deliver the room.
        """
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name)
            self._attaching[name] = asyncio.Task(self._attach(room), loop=asyncio.get_running_loop())
        room.joining += 1
        try:
            if (attaching := self._attaching.get(name)) is not None:
                await asyncio.shield(attaching)
            self._add(connection, room)
        finally:
            room.joining -= 1
            self._drop_if_deserted(room)
        return room.top

    def leave(self, connection: Connection, room: str) -> None:
        """End a membership; what was pushed before is still written. No member, no effect."""
        if RoomName(room) in connection.memberships:
            connection.send_entries(self._leave(connection, RoomName(room)))

    def leave_all(self, connection: Connection) -> list[Entry]:
        """End all memberships; return what the connection is still owed of them."""
        owed: list[Entry] = []
        for name in list(connection.memberships):
            owed.extend(self._leave(connection, name))
        return owed

    def stop(self) -> None:
        """Attach nothing more."""
        for task in self._attaching.values():
            task.cancel()

    def forget(self) -> None:
        """Know that the event loop has died, so that nothing that it left behind touches the layer any more."""
        self._attaching.clear()
        self.rooms.clear()

    def _add(self, connection: Connection, room: Room[Connection]) -> None:
        if not connection.is_open:
            raise ConnectionClosed(connection.code)
        if room.name in connection.memberships:
            return
        if len(connection.memberships) >= self._limits.max_rooms_per_connection:
            raise TooManyRooms(self._limits.max_rooms_per_connection)
        branch = room.branch(connection.kind)
        room.add(connection, branch, connection.writer_for(branch))
        connection.memberships[room.name] = branch
        joined = connection.kind.joined(room.name, room.top, recovered=False)
        if joined is not None:
            connection.send_frame(joined)

    async def _attach(self, room: Room[Connection]) -> None:
        try:
            top = await self._layer.attach(room.name)
        except BaseException:
            # At once, before those who wait for it learn of it: whoever joins meanwhile must attach anew.
            if self._attaching.pop(room.name, None) is not None:
                self._drop(room)
            raise
        self._attaching.pop(room.name, None)
        if not room.top.epoch:
            room.top = top
        self._drop_if_deserted(room)

    def _leave(self, connection: Connection, name: RoomName) -> list[Entry]:
        del connection.memberships[name]
        room = self.rooms[name]
        owed = list(room.remove(connection))
        self._drop_if_deserted(room)
        return owed

    def _drop_if_deserted(self, room: Room[Connection]) -> None:
        if room.is_deserted and room.name not in self._attaching and self.rooms.get(room.name) is room:
            self._drop(room)

    def _drop(self, room: Room[Connection]) -> None:
        del self.rooms[room.name]
        self._layer.detach(room.name)
