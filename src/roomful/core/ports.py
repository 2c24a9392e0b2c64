"""The ports: the architecture on one page.

Every part of Roomful meets the others through these protocols; `hub`, `consumers`, `layers`, `server` and `wire` never
import each other. Nothing here has behaviour.

    client ⇄ Wire ⇄ Peer (a connection of the hub) ⇄ Handler (a consumer)
    producer → Layer.publish → Deliver → FrameKind.encode, once per kind → Wire.write, once per member
"""

from __future__ import annotations

import concurrent.futures
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from .capabilities import Change, Occupants
from .dispatched import Dispatched, Missed
from .envelope import Envelope, Form
from .events import Event
from .names import ConnectionId, RoomName
from .policies import Retention
from .positions import Gap, Position

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

MessageId: TypeAlias = str | int
"""What a client calls one of its messages, so that the reply can name it."""


# ── What goes out ──


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message: `data` is UTF-8 when `is_text`; `tail` follows it, where a copy would put it behind."""

    is_text: bool
    data: bytes = field(repr=False)  # a payload, as below: never in a log line or a traceback
    tail: bytes | memoryview = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a wire writes: `data` in the wire's own form, `size` in bytes as it counts against an outbox."""

    data: object = field(repr=False)
    size: int


class Framing(Protocol):
    """How a wire writes WebSocket messages: as bytes of RFC 6455, or as ASGI messages. Hashable."""

    def frame(self, messages: Sequence[Message]) -> Frame:
        """Return one frame that holds these messages, in order."""

    def join(self, frames: Sequence[Frame]) -> object:
        """Return what `Wire.write` takes for these frames, in order, at once."""

    def text(self, data: bytes) -> object:
        """Return what `Wire.write` takes for one text message: what `frame` and `join` make of it, in fewer steps."""

    def concat(self, parts: Sequence[object]) -> object:
        """Return what `Wire.write` takes for what `text` and `join` returned, in order, at once."""

    def size(self, part: object) -> int:
        """Return the bytes of what `text` or `join` returned, as `Frame.size` counts them."""


class FrameKind(Protocol):
    """Codec × framing (× compression): members of one kind share every frame. Hashable and compared by value."""

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Frame:
        """Return the frame of a push."""

    def position(self, room: RoomName, at: Position) -> Frame | None:
        """Return the frame of a push whose body this member does not get, or None where positions are not sent."""

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Frame | None:
        """Return the frame that tells a member where it stands, or None where positions are not sent."""

    def gap(self, room: RoomName, gap: Gap) -> Frame | None:
        """Return the frame that tells a member what it will not get, or None where positions are not sent."""

    def presence(self, room: RoomName, at: Position, change: Change) -> Frame | None:
        """Return the frame that tells a member who has come or gone, or None where that is not sent."""

    def occupants(self, room: RoomName, occupants: Occupants) -> Frame | None:
        """Return the frame that tells a member who is present, or None where that is not sent."""

    def direct(self, message: Event | str | bytes) -> Frame:
        """Return the frame of a message to one connection.

        Raises:
            NotEncodable: The event's data cannot be written as JSON.
        """

    def packed(self, envelope: Envelope) -> Frame:
        """Return the frame of a message to one connection that was encoded already, in another process perhaps."""

    def reply(self, reply_to: MessageId, value: object) -> Frame:
        """Return the frame that answers the client's message `reply_to`.

        Raises:
            NotEncodable: The value cannot be written as JSON.
        """

    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Frame:
        """Return the frame that says what was wrong with a client's message."""

    def direct_alone(self, message: Event | str | bytes) -> object:
        """Return what `Wire.write` takes for a message to one connection; as `direct`, in fewer steps."""

    def reply_alone(self, reply_to: MessageId, value: object) -> object:
        """Return what `Wire.write` takes for an answer; as `reply`, in fewer steps."""

    def concat(self, parts: Sequence[object]) -> object:
        """Return what `Wire.write` takes for what `direct_alone` and `reply_alone` returned, in order, at once."""

    def size(self, part: object) -> int:
        """Return the bytes of what `direct_alone` or `reply_alone` returned."""

    def join(self, frames: Sequence[Frame]) -> object:
        """Return what `Wire.write` takes for these frames, in order, at once."""


# ── What comes in ──


@dataclass(slots=True)
class Inbound:
    """A client's message, read so far that its handler can be chosen.

    One is made for every message, and making it frozen would take three times as long; nobody changes it all the same.

    Attributes:
        type: The event type.
        data: The encoded data, for a decoder of the same codec: JSON, or the bytes of a binary event.
        id: What the client calls this message, if it wants a reply.
        is_binary: Whether it came as a binary event.
    """

    type: str
    data: bytes = field(repr=False)
    id: MessageId | None = None
    is_binary: bool = False


class Codec(Protocol):
    """What application values look like in messages. It knows no room, no position and no socket."""

    def pack(self, message: Event | str | bytes) -> tuple[Form, bytes]:
        """Encode what is pushed.

        Raises:
            NotEncodable: The event's data cannot be written as JSON.
            TypeError: It is neither an event, text nor bytes.
        """

    def unpack(self, form: Form, body: bytes | memoryview) -> Inbound:
        """Read an event that `pack` encoded, for a decoder of this codec.

        Raises:
            InvalidMessage: It is none.
        """

    def pack_value(self, value: object) -> bytes:
        """Encode a value as it stands inside a message.

        Raises:
            NotEncodable: It cannot be written as JSON.
        """

    def read(self, message: str | bytes) -> Inbound:
        """Read a client's message as an event.

        Raises:
            InvalidMessage: It is not one; `code` and text say why.
        """

    def decoder(self, annotation: object) -> Callable[[Inbound], object]:
        """Return what decodes an event's data to `annotation`; it raises `InvalidMessage`.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """

    def message_decoder(self, annotation: object) -> Callable[[str | bytes], object]:
        """Return what decodes a whole message to `annotation`; it raises `InvalidMessage`.

        Raises:
            ConsumerError: Nothing can be decoded to `annotation`.
        """


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


# ── Between processes ──


@dataclass(frozen=True, slots=True)
class ProducerSeq:
    """Which push of which producer: a layer lets each take effect once, however often it is published."""

    producer: str
    number: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a push.

    Attributes:
        position: Where the event stands in its room.
        duplicate: Whether an earlier push with the same key or sequence had taken effect already; `position` is that
            one's.
        slow: How many members of this process fell to the room's slow-consumer policy; counted where the push waited.
    """

    position: Position
    duplicate: bool = False
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A range of a room's history.

    Attributes:
        entries: Positions and payloads, in order.
        complete: Whether nothing is missing between the position that was asked for and the first entry (without
            entries: and `top`). Between the entries nothing ever is.
        top: The room's last position when the page was read.
    """

    entries: tuple[tuple[Position, bytes], ...] = field(repr=False)
    complete: bool
    top: Position


Deliver: TypeAlias = Callable[[RoomName, Position, bytes], None]
"""Takes the next event of a room. Never raises, never blocks."""
Suspect: TypeAlias = Callable[[RoomName], None]
"""Takes the news that events of a room may have been missed."""


class Layer(Protocol):
    """Carries events between processes and numbers them.

    Order: `deliver` is called for each attached room in the order of its offsets, from the loop's thread.
    Loss: after `attach` returned position *p*, every event after *p* is delivered once, or `suspect` is called.
    Once: a push takes effect once per `seq`, and once per `key` while the layer remembers it.
    """

    shared: bool
    """Whether the layer reaches other processes."""

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin; called once before anything else.

        Raises:
            LayerError: The layer cannot be reached or used; the text says why.
        """

    async def stop(self) -> None:
        """End: deliver nothing more and release everything. May be started again."""

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> Future[Receipt]:
        """Number an event and carry it to every process. Takes effect without being awaited.

        With `keep` the event enters the room's history, from which what exceeds it goes, the oldest first.

        Awaiting it raises `LayerError` when the push did not take effect, or when nobody can know.
        """

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room; return the position after which everything is delivered or suspected."""

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room. Never waits."""

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return at most `limit` kept events that follow `after`, the oldest first.

        A position of an epoch that does not lead to the present one, or that has not been reached, has no entries and
        is not complete.
        """
