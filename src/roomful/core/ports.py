"""The ports: the architecture on one page.

Every part of Roomful meets the others through these protocols; `hub`, `consumers`, `layers`, `server` and `wire` never
import each other. Nothing here has behaviour. What a socket carries stands in `frames`, what a layer does in `layer`;
both are part of this page.

    client ⇄ Wire ⇄ Peer (a connection of the hub) ⇄ Handler (a consumer)
    producer → Layer.publish → Deliver → FrameKind.encode, once per kind → Wire.write, once per member
"""

from __future__ import annotations

import concurrent.futures
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from .dispatched import Dispatched, Missed
from .events import Event
from .frames import Codec, Frame, FrameKind, Framing, Inbound, Message, MessageId
from .layer import Deliver, Layer, Page, ProducerSeq, Receipt, Suspect
from .names import ConnectionId, RoomName
from .positions import Position

__all__ = (
    "Addressed",
    "Codec",
    "Deliver",
    "Frame",
    "FrameKind",
    "Framing",
    "Handler",
    "Inbound",
    "Joined",
    "Layer",
    "Link",
    "Message",
    "MessageId",
    "Page",
    "Peer",
    "Present",
    "ProducerSeq",
    "Pusher",
    "Receipt",
    "Suspect",
    "Wire",
)


# ── One socket ──


class Wire(Protocol):
    """One socket, seen from above. All of it is called from the loop's thread and never waits.

    A wire calls its peer for the first time in a later pass of the loop than the one that made it.

    Order: what is written goes out in the order of the calls. After `close` or `abort` nothing more is written.
    """

    @property
    def framing(self) -> Framing:
        """How this wire writes messages."""

    @property
    def write(self) -> Callable[[object], None]:
        """Write whole frames: what `Framing.join` returned.

        May call `Peer.paused` before it returns; takes the frames even then.
        """

    @property
    def has_more(self) -> bool:
        """Whether more of the client's bytes wait behind the message that is being handed on.

        A hint: what is written now may be joined with what the next message will have written.
        """

    @property
    def supervises(self) -> bool:
        """Whether the server below looks after pings, deadlines and aborting itself, so that the hub must not."""

    def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Accept the handshake. Called at most once, and before the first `write`.

        Raises:
            ValueError: A header or the subprotocol cannot be sent; nothing was sent.
        """

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse the handshake with an HTTP response, where the server can, else with its own refusal."""

    def unsent(self) -> int:
        """Return how many bytes wait between `write` and the kernel."""

    def stop_reading(self) -> None:
        """Take no more from the socket, so that TCP holds the client back. A second call does nothing."""

    def start_reading(self) -> None:
        """Read on. Without an earlier `stop_reading` it does nothing."""

    def bound_messages(self, max_bytes: int | None) -> None:
        """Take no message that is larger, from the next one on; None for what held before.

        Where the server below reads messages, its own bound holds and this does nothing.
        """

    def ping(self) -> None:
        """Ask the client for a sign of life, where the wire does not supervise itself."""

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        """Write the close frame behind all that was written, and end.

        Args:
            code: A code that `check_close` accepts.
            reason: At most 123 bytes of UTF-8.
            linger_s: With a number, the socket is aborted when the client has not taken the close frame after so many
                seconds. Without, the server's own time-out holds.
        """

    def abort(self) -> None:
        """End now, dropping what the transport and the kernel still hold."""


class Peer(Protocol):
    """The connection, as its wire sees it. No method raises or blocks."""

    def received(self, message: str | bytes) -> None:
        """Take a whole message, a sign of life too. The wire may be told to stop reading before this returns."""

    def paused(self) -> None:
        """Know that the transport is full: what is written now waits in memory."""

    def resumed(self) -> None:
        """Know that the transport has room again. May write before it returns."""

    def heard(self) -> None:
        """Know that bytes came that are not one whole message, or not that alone: a sign of life."""

    def going_away(self) -> None:
        """Know that the server stops: end in good order, within a bounded time."""

    def lost(self, code: int, reason: str) -> None:
        """Know that the connection has ended. The wire calls this exactly once, and nothing after it.

        It may come before the socket is gone; nothing may be written after it.
        """


# ── One consumer ──


class Handler(Protocol):
    """A consumer, as its connection sees it."""

    def handle(self, message: str | bytes) -> Awaitable[None] | None:
        """Handle one message. The next one follows when the awaitable is done; it may be cancelled."""

    def dispatched(self, item: Dispatched | Missed) -> Awaitable[None] | None:
        """Handle what was dispatched to a group of the consumer, or learn what it will not get.

        It takes turns with `handle`: one thing at a time.
        """

    def closed(self, code: int) -> Awaitable[None] | None:
        """Clean up. Called once, after `handle` has ended."""


@dataclass(frozen=True, slots=True)
class Present:
    """Who is present in a room.

    Attributes:
        at: The position of the last change that is counted in, in the sequence of the room's presence.
        who: What each says of itself, by its name.
    """

    at: Position
    who: dict[str, object]


class Addressed(Protocol):
    """What has a connection id: a consumer, a connection."""

    @property
    def id(self) -> ConnectionId:
        """The connection's id."""


class Pusher(Protocol):
    """The hub, as consumers and producers see it."""

    def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
        wait: bool = False,
        timeout_s: float = ...,
    ) -> Awaitable[Receipt]:
        """Push to every member of a room; see `roomful.Hub.push`."""

    def push_nowait(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> Future[Receipt]:
        """Push without waiting; see `roomful.Hub.push_nowait`."""

    def push_threadsafe(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> concurrent.futures.Future[Receipt]:
        """Push from another thread; see `roomful.Hub.push_threadsafe`."""

    async def dispatch(
        self,
        group: str,
        event: Event,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        on_full: Literal["tell", "refuse"] = "tell",
    ) -> Receipt:
        """Dispatch to the consumers of a group; see `roomful.Hub.dispatch`."""

    async def presence(self, room: str) -> Present:
        """Return who is present in a room; see `roomful.Hub.presence`."""

    async def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        """Send to one connection; see `roomful.Hub.send`."""

    async def disconnect(self, connection_id: ConnectionId, code: int = ..., reason: str = "") -> None:
        """Close one connection; see `roomful.Hub.disconnect`."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a join.

    Attributes:
        position: Every event of the room after this position is delivered.
        recovered: Whether the member has got every event between the position that it asked for and this one.
    """

    position: Position
    recovered: bool


class Link(Protocol):
    """The connection, as its consumer sees it."""

    @property
    def id(self) -> ConnectionId:
        """The connection's id."""

    @property
    def rooms(self) -> frozenset[RoomName]:
        """The rooms that it is a member of."""

    def accept(self, subprotocol: str | None, headers: Mapping[str, str]) -> None:
        """Accept the handshake."""

    async def join(
        self, room: str, *, since: Position | str | None = None, who: str | None = None, info: object = None
    ) -> Joined:
        """Become a member of a room; accepts the handshake first if nobody has."""

    async def send_presence(self, room: str) -> None:
        """Send who is present in a room, and what changes that from then on if this is a member."""

    def leave(self, room: str) -> None:
        """Cease to be a member of a room."""

    @property
    def groups(self) -> frozenset[RoomName]:
        """The groups that its consumer is in."""

    async def join_group(self, group: str) -> None:
        """Make its consumer a member of a group; accepts the handshake first if nobody has."""

    def leave_group(self, group: str) -> None:
        """End its consumer's membership of a group."""

    def send(self, message: Event | str | bytes) -> None:
        """Send to this connection; accepts the handshake first if nobody has."""

    def offer(self, message: Event | str | bytes) -> Awaitable[None] | None:
        """Send as `send` does, unless the outbox is crowded; then return what is done once it is not, to try again."""

    def room_to_write(self) -> Awaitable[None] | None:
        """Return what is done once the outbox is not crowded, or None when it is not."""

    def reply(self, reply_to: MessageId, value: object) -> None:
        """Answer a message."""

    def error(self, code: str, message: str, *, reply_to: MessageId | None = None) -> None:
        """Say what was wrong with a message."""

    def close(self, code: int, reason: str) -> None:
        """Write what is owed, then close."""
