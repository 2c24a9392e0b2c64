"""Small fakes of the ports, whose frames can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from roomful.core.capabilities import Change, Occupants
from roomful.core.dispatched import Dispatched, Missed
from roomful.core.envelope import Envelope, Form
from roomful.core.errors import LayerError, NotEncodable
from roomful.core.events import Event
from roomful.core.names import ConnectionId, RoomName, node_topic
from roomful.core.policies import Retention
from roomful.core.ports import (
    Deliver,
    Frame,
    FrameKind,
    Inbound,
    Joined,
    MessageId,
    Page,
    Peer,
    ProducerSeq,
    Receipt,
    Suspect,
)
from roomful.core.positions import Gap, Position


@dataclass(frozen=True)
class FakeKind:
    """Frames are short texts: `lobby@3 hello` is the third push to the lobby, `@3` alone a position."""

    name: str = "plain"
    has_positions: bool = True

    @staticmethod
    def _frame(text: str) -> Frame:
        return Frame(text, len(text))

    def encode(self, room: RoomName, at: Position, envelope: Envelope) -> Frame:
        return self._frame(f"{room}@{at.offset} {envelope.body.decode()}")

    def position(self, room: RoomName, at: Position) -> Frame | None:
        return self._frame(f"{room}@{at.offset}") if self.has_positions else None

    def joined(self, room: RoomName, at: Position, *, recovered: bool) -> Frame | None:
        flag = " recovered" if recovered else ""
        return self._frame(f"joined {room}@{at.offset}{flag}") if self.has_positions else None

    def gap(self, room: RoomName, gap: Gap) -> Frame | None:
        ranges = ",".join(f"{first}-{last}" for first, last in gap.ranges or ())
        return self._frame(f"gap {room} {gap.reason} {ranges}".rstrip()) if self.has_positions else None

    def presence(self, room: RoomName, at: Position, change: Change) -> Frame | None:
        said = "gone" if change.info is None else change.info.decode()
        return self._frame(f"{room}#{at.offset} {change.who} {said}") if self.has_positions else None

    def occupants(self, room: RoomName, occupants: Occupants) -> Frame | None:
        who = ",".join(f"{name}={info.decode()}" for name, info in sorted(occupants.who.items()))
        return self._frame(f"{room}#{occupants.at.offset} {{{who}}}") if self.has_positions else None

    def direct(self, message: Event | str | bytes) -> Frame:
        if not isinstance(message, str):
            raise NotEncodable("this fake sends texts alone")
        return self._frame(message)

    def reply(self, reply_to: MessageId, value: object) -> Frame:
        return self._frame(f"reply {reply_to}: {value}")

    def error(self, code: str, message: str, *, reply_to: MessageId | None) -> Frame:
        return self._frame(f"error {reply_to}: {code} {message}")

    def direct_alone(self, message: Event | str | bytes) -> object:
        return self.join([self.direct(message)])

    def reply_alone(self, reply_to: MessageId, value: object) -> object:
        return self.join([self.reply(reply_to, value)])

    def concat(self, parts: Sequence[object]) -> object:
        return sum(parts, ())  # type: ignore[arg-type,call-overload] # tuples, as `join` makes them

    def size(self, part: object) -> int:
        return sum(map(len, part))  # type: ignore[call-overload,no-any-return] # as above

    def join(self, frames: Sequence[Frame]) -> object:
        return tuple(frame.data for frame in frames)


@dataclass
class FakeCodec:
    """Packs texts, and the data of events where a test wants that."""

    packed: list[object] = field(default_factory=list)
    takes_events: bool = False

    def pack(self, message: Event | str | bytes) -> tuple[Form, bytes]:
        if self.takes_events and isinstance(message, Event):
            return Form.JSON, str(message.data).encode()
        if self.takes_events and isinstance(message, bytes):
            return Form.BYTES, message
        if not isinstance(message, str):
            raise NotEncodable("this fake packs texts alone")
        self.packed.append(message)
        return Form.TEXT, message.encode()

    def unpack(self, form: Form, body: bytes | memoryview) -> Inbound:
        raise NotImplementedError

    def pack_value(self, value: object) -> bytes:
        return str(value).encode()

    def read(self, message: str | bytes) -> Inbound:
        raise NotImplementedError

    def decoder(self, annotation: object) -> Callable[[Inbound], object]:
        raise NotImplementedError

    def message_decoder(self, annotation: object) -> Callable[[str | bytes], object]:
        raise NotImplementedError


class FakeWire:
    """Keeps what is written.

    Attributes:
        written: The frames, in order.
        writes: How many calls of `write` they took.
        calls: Everything else that it was told, in order.
        on_write: Called within each `write`, after the frames were taken: pauses, loses or raises as a test wants.
        takes: How many frames it takes before it pauses; None for any number.
        wrongs: What it was told against the port's rules.
    """

    framing: Any = None

    def __init__(self, peer: Peer, *, supervises: bool = True) -> None:
        self.peer = peer
        self.supervises = supervises
        self.has_more = False
        self.written: list[str] = []
        self.writes = 0
        self.calls: list[tuple[object, ...]] = []
        self.on_write: Callable[[], None] | None = None
        self.takes: int | None = None
        self.backlog = 0
        self.is_reading = True
        self.is_closed = False
        self.is_lost = False
        self.is_paused = False
        self.wrongs: list[str] = []

    def write(self, data: object) -> None:
        if self.is_lost:
            return  # the news may be on its way when a flush comes to this member
        self._expect(not self.is_closed, "written to after close or abort")
        self._expect(self.accepted, "written to before accept")
        assert isinstance(data, tuple)
        self._expect(bool(data), "written nothing")
        self.written += data
        self.writes += 1
        if self.takes is not None:
            self.takes = max(0, self.takes - len(data))
            if self.takes == 0 and not self.is_paused:
                self.pause()
        if self.on_write is not None:
            self.on_write()

    @property
    def accepted(self) -> bool:
        return any(call[0] == "accept" for call in self.calls)

    @property
    def closed(self) -> list[tuple[object, ...]]:
        """How it was ended: `close`, `abort` and `refuse` with their arguments."""
        return [call for call in self.calls if call[0] in ("close", "abort", "refuse")]

    def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._expect(not self.accepted, "accepted twice")
        self.calls.append(("accept", subprotocol, list(headers)))

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.is_closed = True
        self.calls.append(("refuse", status, body, list(headers)))

    def unsent(self) -> int:
        return self.backlog

    def stop_reading(self) -> None:
        self.is_reading = False
        self.calls.append(("stop_reading",))

    def bound_messages(self, max_bytes: int | None) -> None:
        self.calls.append(("bound_messages", max_bytes))

    def start_reading(self) -> None:
        self.is_reading = True
        self.calls.append(("start_reading",))

    def ping(self) -> None:
        self.calls.append(("ping",))

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        self._expect(not self.is_closed, "closed twice")
        self.is_closed = True
        self.calls.append(("close", code, reason, linger_s))

    def abort(self) -> None:
        self.is_closed = True
        self.calls.append(("abort",))

    # What a test does with it.

    def pause(self) -> None:
        """Fill up."""
        self.is_paused = True
        self.peer.paused()

    def resume(self, takes: int | None = None) -> None:
        """Have room again, for so many frames."""
        self.takes = takes
        self.is_paused = False
        self.peer.resumed()

    def lose(self, code: int = 1006, reason: str = "") -> None:
        """End, as a socket does."""
        self.is_lost = True
        self.peer.lost(code, reason)

    def _expect(self, holds: bool, wrong: str) -> None:
        # Kept too, because whoever writes survives what a wire raises.
        if not holds:
            self.wrongs.append(wrong)
        assert holds, wrong


class FakeLayer:
    """Numbers events and delivers them at once, or when a test says so.

    Attributes:
        calls: What it was told, in order.
        attach_gate: When set, `attach` waits for it, and fails with its exception.
        failing_starts: How many times `start` fails.
        holds: Whether deliveries wait for `release`.
        evicted: How many of a room's first events its history no longer has.
        pages: How often a history was read.
        history_gate: When set, `history` waits for it, and fails with its exception.
        history_answers: When set, what `history` has read comes after it.
    """

    shared = True

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.attach_gate: asyncio.Future[None] | None = None
        self.start_gate: asyncio.Future[None] | None = None
        self.failing_starts = 0
        self.holds = False
        self.published: list[tuple[RoomName, bytes, ProducerSeq, str | None]] = []
        self.tops: dict[RoomName, int] = {}
        self.attached: set[RoomName] = set()
        self.deliver: Deliver | None = None
        self.suspect: Suspect | None = None
        self.kept: dict[RoomName, list[bytes]] = {}
        self.evicted: dict[RoomName, int] = {}
        self.pages = 0
        self.history_gate: asyncio.Future[None] | None = None
        self.history_answers: asyncio.Future[None] | None = None
        self._held: list[tuple[RoomName, Position, bytes]] = []

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        self.calls.append(("start",))
        if self.start_gate is not None:
            await self.start_gate
        if self.failing_starts:
            self.failing_starts -= 1
            raise LayerError("layer cannot be reached")
        self.deliver, self.suspect = deliver, suspect

    async def stop(self) -> None:
        self.calls.append(("stop",))
        self.deliver = self.suspect = None
        self.attached.clear()

    def at(self, room: str) -> Position:
        return Position("e", self.tops.get(RoomName(room), 0))

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> asyncio.Future[Receipt]:
        self.published.append((room, payload, seq, key))
        self.kept.setdefault(room, []).append(payload)
        self.tops[room] = self.tops.get(room, 0) + 1
        at = self.at(room)
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        receipt.set_result(Receipt(at))
        if room in self.attached:
            self._held.append((room, at, payload))
            if not self.holds:
                self.release()
        return receipt

    def release(self) -> None:
        """Deliver what was held."""
        assert self.deliver is not None
        held, self._held = self._held, []
        for one in held:
            self.deliver(*one)

    def lose(self) -> None:
        """Forget what was held."""
        self._held.clear()

    async def attach(self, room: RoomName) -> Position:
        if room.startswith(node_topic("")):
            return self.at(room)  # the hub's own, which no test here is about
        self.calls.append(("attach", room))
        if self.attach_gate is not None:
            await self.attach_gate
        self.attached.add(room)
        return self.at(room)

    def detach(self, room: RoomName) -> None:
        self.calls.append(("detach", room))
        self.attached.discard(room)

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        self.pages += 1
        if self.history_gate is not None:
            await self.history_gate
        top = self.at(room)
        if after.epoch != top.epoch or after.offset > top.offset:
            return Page((), complete=after == top, top=top)
        kept = self.kept.get(room, [])
        first = max(after.offset, self.evicted.get(room, 0))
        entries = tuple(
            (Position("e", number), payload)
            for number, payload in enumerate(kept[first : first + limit], first + 1)
        )
        if self.history_answers is not None:
            await self.history_answers
        return Page(entries, complete=first == after.offset, top=top)


class FakeHandler:
    """Notes what it handles; waits where a test wants it to.

    Attributes:
        seen: Messages, then `("closed", code)`.
        gate: When set, each message waits for it.
        does: What a message does, by its text.
        on_close: Awaited by `closed`.
    """

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.finished: list[object] = []
        self.gate: asyncio.Event | None = None
        self.does: dict[object, Callable[[], Awaitable[None]]] = {}
        self.is_plain = False
        self.on_close: Callable[[], Awaitable[None]] | None = None
        self.close_raises: Exception | None = None

    def handle(self, message: str | bytes) -> Awaitable[None] | None:
        self.seen.append(message)
        if self.is_plain:
            return None
        if message == "raise at once":
            raise ValueError("at once")
        return self._handle(message)

    async def _handle(self, message: str | bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if (does := self.does.get(message)) is not None:
            await does()
        self.finished.append(message)

    def dispatched(self, item: Dispatched | Missed) -> Awaitable[None] | None:
        if isinstance(item, Missed):
            self.seen.append((item.group, item.gap.reason, item.gap.ranges))
            return None
        return self.handle(bytes(item.envelope.body).decode())

    def closed(self, code: int) -> Awaitable[None] | None:
        self.seen.append(("closed", code))
        if self.close_raises is not None:
            raise self.close_raises
        return None if self.on_close is None else self.on_close()


class FakeLink:
    """Keeps what a consumer sends."""

    def __init__(self) -> None:
        self.id = ConnectionId("fake-connection")
        self.rooms: frozenset[RoomName] = frozenset()
        self.calls: list[tuple[object, ...]] = []
        self.crowded: list[asyncio.Future[None]] = []

    def accept(self, subprotocol: str | None, headers: Mapping[str, str]) -> None:
        self.calls.append(("accept", subprotocol, dict(headers)))

    async def join(
        self, room: str, *, since: Position | str | None = None, who: str | None = None, info: object = None
    ) -> Joined:
        self.calls.append(("join", room) if since is None else ("join", room, since))
        if who is not None or info is not None:
            self.calls.append(("says", who, info))
        self.rooms |= {RoomName(room)}
        return Joined(Position("e", 0), recovered=False)

    @property
    def groups(self) -> frozenset[RoomName]:
        return frozenset()

    async def join_group(self, group: str) -> None:
        self.calls.append(("join_group", group))

    def leave_group(self, group: str) -> None:
        self.calls.append(("leave_group", group))

    async def send_presence(self, room: str) -> None:
        self.calls.append(("send_presence", room))

    def leave(self, room: str) -> None:
        self.calls.append(("leave", room))

    def send(self, message: Event | str | bytes) -> None:
        self.calls.append(("send", message))

    def offer(self, message: Event | str | bytes) -> Awaitable[None] | None:
        if (crowded := self.room_to_write()) is None:
            self.send(message)
        return crowded

    def room_to_write(self) -> Awaitable[None] | None:
        return self.crowded.pop(0) if self.crowded else None

    def reply(self, reply_to: MessageId, value: object) -> None:
        self.calls.append(("reply", reply_to, value))

    def error(self, code: str, message: str, *, reply_to: MessageId | None = None) -> None:
        self.calls.append(("error", code, message, reply_to))

    def close(self, code: int, reason: str) -> None:
        self.calls.append(("close", code, reason))


class FakePusher:
    """A hub that keeps what is pushed."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | None = None,
        key: str | None = None,
    ) -> Receipt:
        self.calls.append(("push", room, message, exclude, key))
        return Receipt(Position("e", len(self.calls)))

    async def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        self.calls.append(("send", connection_id, message))

    async def disconnect(self, connection_id: ConnectionId, code: int = 1000, reason: str = "") -> None:
        self.calls.append(("disconnect", connection_id, code, reason))


PLAIN: FrameKind = FakeKind()
