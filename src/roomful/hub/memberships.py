"""Memberships: which rooms exist in this process, who is in them, and which of them the layer delivers.

A room is attached to the layer when its first member joins and detached when its last one has left. A member that says
where it stood gets what it missed before it is added. Nothing here writes to a room: that is the flusher's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..core.errors import ConnectionClosed, PolicyError, PositionError, RoomFull, TooManyRooms
from ..core.names import RoomName, room_name
from ..core.ports import Joined
from ..core.positions import Position
from .replay import Replays
from .rooms import Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..core.limits import Limits
    from ..core.policies import Policies, RoomPolicy
    from ..core.ports import Layer
    from .member import Member
    from .outbox import Entry
    from .presence import Attendants

__all__ = ("Memberships",)


class Memberships:
    """The rooms of one hub, on one event loop.

    Args:
        layer: Delivers the rooms.
        limits: How long names may be, and how many rooms a connection may be in.
        policies: Of the rooms.
        catch_up: Brings a room to where the layer stands.

    Attributes:
        rooms: The rooms with a member, or with a join under way.
        attendants: Who is present in rooms whose policy asks for that; None before the engine has made it.
    """

    __slots__ = (
        "_arriving",
        "_attaching",
        "_layer",
        "_leaving",
        "_limits",
        "_policies",
        "_replays",
        "attendants",
        "rooms",
    )

    def __init__(
        self,
        layer: Layer,
        limits: Limits,
        policies: Policies,
        *,
        catch_up: Callable[[RoomName], Awaitable[None]],
    ) -> None:
        self.rooms: dict[RoomName, Room[Member]] = {}
        self.attendants: Attendants | None = None
        self._arriving: dict[tuple[Member, RoomName], asyncio.Future[None]] = {}
        self._leaving: set[tuple[Member, RoomName]] = set()  # those of them that are to leave at once
        self._attaching: dict[RoomName, asyncio.Task[None]] = {}
        self._layer = layer
        self._limits = limits
        self._policies = policies
        self._replays = Replays(layer, catch_up)

    def count(self) -> int:
        """Return the number of members over all rooms."""
        return sum(len(room.members) for room in self.rooms.values())

    def name_of(self, room: str) -> RoomName:
        """Return `room` as a name.

        Raises:
            RoomNameError: It is too long or not printable.
        """
        # A room that exists has a valid name, which spares the check on the hot path.
        try:
            known = self.rooms.get(RoomName(room))
        except TypeError:
            known = None  # it cannot be a key, and is refused below
        if known is not None:
            return known.name
        return room_name(room, max_bytes=self._limits.max_room_name_bytes)

    def policy_of(self, name: RoomName) -> RoomPolicy:
        """Return the policy of a room."""
        known = self.rooms.get(name)
        return self._policies.of(name) if known is None else known.policy

    def check(self, connection: Member, name: RoomName) -> None:
        """See that a connection may become a member of a room.

        Raises:
            TooManyRooms: The connection is in as many rooms as the limits allow.
            RoomFull: The room has as many members as its policy allows.
            PolicyError: The room's policy skips events, and this connection cannot be told of it.
        """
        if name in connection.memberships:
            return
        if len(connection.memberships) >= self._limits.max_rooms_per_connection:
            raise TooManyRooms(self._limits.max_rooms_per_connection)
        policy = self.policy_of(name)
        room = self.rooms.get(name)
        if policy.max_members is not None and room is not None and len(room.members) >= policy.max_members:
            raise RoomFull(policy.max_members)
        if policy.skips and connection.kind.joined(name, Position("", 0), recovered=False) is None:
            raise PolicyError(
                f"room {name!r} may skip events ({policy.on_slow}), and a connection that owns its wire cannot be told"
            )

    async def join(
        self,
        connection: Member,
        name: RoomName,
        since: Position | str | None,
        *,
        who: str | None = None,
        info: bytes | None = None,
    ) -> Joined:
        """Make a connection a member of a room; return the position after which it gets every event.

        With `since` it first gets what followed, as far as the layer has kept it; what is missing is told. A text that
        is no position counts as one that was never reached. A second join of the same room changes nothing, unless it
        says something else of who is present.

        Raises:
            TooManyRooms, RoomFull, PolicyError: As `check`.
            ConnectionClosed: The connection ended before it was a member.
            LayerError: The layer cannot deliver the room.
        """
        arriving = (connection, name)
        while (earlier := self._arriving.get(arriving)) is not None:
            await asyncio.wait([earlier])
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name, self._policies.of(name))
            self._attaching[name] = asyncio.Task(self._attach(room), loop=asyncio.get_running_loop())
        room.joining += 1
        self._arriving[arriving] = asyncio.get_running_loop().create_future()
        recovered = False
        try:
            if (attaching := self._attaching.get(name)) is not None:
                await asyncio.shield(attaching)
            # Not before: what is pushed once its client knows that it is connected is delivered. And not if it may no
            # longer become a member: others may have come meanwhile.
            self.check(connection, name)
            connection.ensure_open()
            if since is not None and name not in connection.memberships:
                recovered = await self._replays.run(connection, room, _position(since))
            self._add(connection, room, recovered=recovered)
            if room.policy.presence and self.attendants is not None:
                self.attendants.enter(connection, name, who, info)
        finally:
            self._arriving.pop(arriving).set_result(None)
            room.joining -= 1
            if arriving in self._leaving:
                self._leaving.remove(arriving)
                self.leave(connection, name)
            self._drop_if_deserted(room)
        return Joined(room.top, recovered)

    def leave(self, connection: Member, room: str) -> None:
        """End a membership; what was pushed before is still written. No member, no effect.

        The join that is being made ends with it: the member leaves as soon as it has arrived.

        Raises:
            RoomNameError: It cannot be a room's name.
        """
        name = self.name_of(room)
        if name in connection.memberships:
            connection.send_entries(self._leave(connection, name))
        elif (connection, name) in self._arriving:
            self._leaving.add((connection, name))

    def leave_all(self, connection: Member) -> list[Entry]:
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
        self._arriving.clear()
        self._leaving.clear()
        self._attaching.clear()
        self.rooms.clear()

    def _add(self, connection: Member, room: Room[Member], *, recovered: bool) -> None:
        if not connection.is_open:
            raise ConnectionClosed(connection.code)
        if room.name in connection.memberships:
            return
        self.check(connection, room.name)
        branch = room.branch(connection.kind)
        room.add(connection, branch, connection.writer_for(branch))
        connection.memberships[room.name] = branch
        joined = connection.kind.joined(room.name, room.top, recovered=recovered)
        if joined is not None:
            connection.send_frame(joined)

    async def _attach(self, room: Room[Member]) -> None:
        try:
            top = await self._layer.attach(room.name)
            if room.policy.presence and self.attendants is not None:
                await self.attendants.open(room.name)
        except BaseException:
            # At once, before those who wait for it learn of it: whoever joins meanwhile must attach anew.
            if self._attaching.pop(room.name, None) is not None:
                self._drop(room)
            raise
        self._attaching.pop(room.name, None)
        # What was delivered before this may come from an earlier subscription, and what lies between will not come.
        if not room.top.epoch or (room.top.epoch == top.epoch and room.top.offset < top.offset):
            room.order.top = top
        self._drop_if_deserted(room)

    def _leave(self, connection: Member, name: RoomName) -> list[Entry]:
        del connection.memberships[name]
        room = self.rooms[name]
        if room.policy.presence and self.attendants is not None:
            self.attendants.leave(connection, name)
        owed = list(room.remove(connection))
        self._drop_if_deserted(room)
        return owed

    def _drop_if_deserted(self, room: Room[Member]) -> None:
        if room.is_deserted and room.name not in self._attaching and self.rooms.get(room.name) is room:
            self._drop(room)

    def _drop(self, room: Room[Member]) -> None:
        del self.rooms[room.name]
        self._layer.detach(room.name)
        if room.policy.presence and self.attendants is not None:
            self.attendants.close(room.name)


def _position(since: Position | str) -> Position | None:
    if isinstance(since, Position):
        return since
    try:
        return Position.parse(since)
    except PositionError:
        return None
