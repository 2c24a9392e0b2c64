"""The consumer: one object for each connection, whose methods are called as things happen.

It has no loop of its own and reads nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ..core.access import ANONYMOUS
from ..core.close_codes import CloseCode
from ..core.errors import InvalidState
from .definition import define, definition_of

if TYPE_CHECKING:
    from ..core.access import Access, Principal
    from ..core.events import Event
    from ..core.names import ConnectionId, RoomName
    from ..core.ports import Addressed, Joined, Link, Pusher, Receipt
    from ..core.positions import Position

__all__ = ("ConsumerBase", "Scope")

Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI connection scope; what it holds is each server's and middleware's own."""


class ConsumerBase:
    """What every consumer has, without the way to serve it; applications derive from `roomful.Consumer`."""

    __slots__ = ("_access", "_hub", "_link", "_scope")

    owns_wire: ClassVar[bool] = False

    _link: Link
    _hub: Pusher
    _scope: Scope | None
    _access: Access | None

    def __init_subclass__(cls, *, owns_wire: bool | None = None, **kwargs: object) -> None:
        """Check the class; see `definition.define`."""
        super().__init_subclass__(**kwargs)
        if owns_wire is not None:
            cls.owns_wire = owns_wire
        define(cls, provider=ConsumerBase)

    def bind(self, link: Link, hub: Pusher, scope: Scope, access: Access | None = None) -> None:
        """Give the consumer its connection; called by the endpoint before `connect`.

        Args:
            link: The connection.
            hub: The hub.
            scope: The handshake's.
            access: Who is behind the connection and what it may do; None where nobody asks.
        """
        self._link = link
        self._hub = hub
        self._scope = scope
        self._access = access

    @property
    def connection(self) -> Link:
        """The connection, as the parts that Roomful calls handlers by see it."""
        return self._link

    def forget_scope(self) -> None:
        """Release the handshake's scope; called by the endpoint after `connect`."""
        self._scope = None

    @property
    def id(self) -> ConnectionId:
        """The connection's id, which addresses it in `hub.send` and in `exclude`."""
        return self._link.id

    @property
    def hub(self) -> Pusher:
        """The hub."""
        return self._hub

    @property
    def principal(self) -> Principal:
        """Who is connected, as the hub's authenticator or middleware found out; anonymous where nobody asked.

        After a `roomful.refresh` it is what the new token says, with the same id.
        """
        return ANONYMOUS if self._access is None else self._access.principal

    @property
    def rooms(self) -> frozenset[RoomName]:
        """The rooms that the connection is a member of."""
        return self._link.rooms

    @property
    def scope(self) -> Scope:
        """The ASGI scope of the handshake, during `connect`.

        An idle connection keeps no scope; copy what is needed later.

        Raises:
            InvalidState: `connect` has returned.
        """
        if self._scope is None:
            raise InvalidState("scope is released when connect has returned; copy what you need in connect")
        return self._scope

    async def accept(
        self, *, subprotocol: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Accept the connection with a subprotocol or headers. Without them the first `join` or `send` accepts.

        Raises:
            InvalidState: It has been accepted already.
            ConnectionClosed: It has ended.
        """
        self._link.accept(subprotocol, headers or {})

    async def join(
        self, room: str, *, since: Position | str | None = None, who: str | None = None, info: object = None
    ) -> Joined:
        """Become a member of a room.

        A client that comes back says where it stood (`?resume=` of its address): it gets what followed, as far as the
        room keeps a history, then everything that comes. What it will not get is told in a `roomful.gap`.

        Args:
            room: The room's name. A second join of the same room changes nothing, but for `who` and `info`.
            since: Where the client stood, if it said so in another way. A text that is no position, or one that was
                never reached, is told as a gap too.
            who: In a room with presence, who is present through this connection: a printable text. By default the
                principal's id, or the connection's where nobody is known. Several connections of one name count as one.
            info: What it says of itself there, as JSON; a second join with another one replaces it.

        Returns:
            The position after which every event of the room comes, and whether nothing was missed since the client's.

        Raises:
            Forbidden: The hub's permissions do not let the principal join it.
            RoomNameError: The name is too long or not printable.
            TooManyRooms: The connection is in as many rooms as the limits allow.
            RoomFull: The room has as many members as its policy allows.
            PolicyError: The room may skip events, and as this consumer owns its wire nobody could tell its client; or
                `who` or `info` is said in a room without presence.
            PresenceError: `who` is empty, too long or not printable; or `info` is too long.
            NotEncodable: `info` cannot be written as JSON.
            ConnectionClosed: The connection ended before it was a member.
            LayerError: The layer cannot deliver the room.
        """
        if self._access is not None:
            await self._access.check_join(room)
        return await self._link.join(room, since=since, who=who, info=info)

    async def leave(self, room: str) -> None:
        """Cease to be a member of a room. What was pushed before still comes; not to be a member is no error."""
        self._link.leave(room)

    @property
    def groups(self) -> frozenset[RoomName]:
        """The groups that this consumer is in."""
        return self._link.groups

    async def join_group(self, group: str) -> None:
        """Become a member of a group: what is dispatched to it goes to the `@on_dispatch` methods.

        A consumer is in a group until it leaves it or its connection ends. What waits then is not handled.

        Raises:
            InvalidState: The class has no `@on_dispatch` method.
            RoomNameError: The name is too long or not printable.
            TooManyRooms: The consumer is in as many groups as the limits allow.
            ConnectionClosed: The connection ended before its consumer was a member.
            LayerError: The layer cannot deliver the group.
        """
        if not definition_of(type(self)).dispatches:
            raise InvalidState(
                f"{type(self).__qualname__} has no @on_dispatch method; nothing would reach it"
            )
        await self._link.join_group(group)

    async def leave_group(self, group: str) -> None:
        """Cease to be a member of a group. What was dispatched before is still handled.

        Raises:
            RoomNameError: The name is too long or not printable.
        """
        self._link.leave_group(group)

    async def send_presence(self, room: str) -> None:
        """Send this connection who is present in a room, as `roomful.occupants`.

        To a member of the room it stands in its place among the changes: what comes after it changes what it says.

        Raises:
            RoomNameError: The name is too long or not printable.
            PolicyError: The room has no presence.
            ConnectionClosed: The connection has ended.
            LayerError: The layer cannot say.
        """
        await self._link.send_presence(room)

    async def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
    ) -> Receipt:
        """Push to a room because the client asked for it: as `hub.push`, which asks nobody, behind the permissions.

        Raises:
            Forbidden: The hub's permissions do not let the principal push this.
            RoomNameError: The name is too long or not printable.
            NotEncodable: The event's data cannot be written as JSON.
            LayerError: The layer did not take the push, or nobody can know.
        """
        if self._access is not None:
            await self._access.check_push(room, message)
        return await self._hub.push(room, message, exclude=exclude, key=key)

    async def send(self, message: Event | str | bytes) -> None:
        """Send to this connection, behind all that was pushed to its rooms before.

        Waits while the client reads too slowly to take it, so that a handler can send without end. A handler that
        waits here is cancelled when the connection ends.

        Raises:
            ConnectionClosed: The connection has ended.
            NotEncodable: The event's data cannot be written as JSON.
        """
        while (crowded := self._link.offer(message)) is not None:
            await crowded

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Leave all rooms, write what is owed, then close. A second call does nothing.

        Args:
            code: 1000–1014 without 1004–1006, or 3000–4999; see `CloseCode`.
            reason: At most 123 bytes of UTF-8; the client sees it.

        Raises:
            ValueError: The code must not be sent, or the reason is too long.
        """
        self._link.close(code, reason)
