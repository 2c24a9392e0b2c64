"""The memory layer: numbers events, keeps their history and delivers them, in one process.

It reaches no other process: a hub that runs in several needs another layer.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from ..core.capabilities import Change, Occupants
from ..core.errors import LayerError
from ..core.names import RoomName, presence_topic
from ..core.policies import Retention
from ..core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from ..core.positions import Position
from .values import Values

__all__ = ("MemoryLayer",)

_MAX_PRODUCERS = 16  # of one room; in one process there is one, unless a hub was bound to another loop

_ENTRY_BYTES = 200  # what an event takes in a history beside its payload, measured


class _History:
    """The events of one room that are kept; their offsets have no holes."""

    __slots__ = ("_entries", "_first", "size")

    def __init__(self, first: int) -> None:
        self.size: int = 0
        self._entries: dict[int, tuple[float, bytes]] = {}  # by offset: any page is found at once
        self._first = first

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, payload: bytes, keep: Retention, now: float) -> None:
        """Keep one event more, and drop what exceeds `keep`."""
        self._entries[self._first + len(self._entries)] = (now + keep.ttl_s, payload)
        self.size += len(payload)
        while len(self._entries) > keep.events or self.size > keep.max_bytes:
            self._drop()
        self.expire(now)

    def expire(self, now: float) -> None:
        """Drop what is too old."""
        while self._entries and self._entries[self._first][0] <= now:
            self._drop()

    def end(self) -> float:
        """Return when the last event is too old."""
        return self._entries[self._first + len(self._entries) - 1][0] if self._entries else 0.0

    def after(self, epoch: str, offset: int, limit: int) -> tuple[tuple[Position, bytes], ...]:
        """Return the oldest events that follow `offset`."""
        start = max(offset + 1, self._first)
        end = min(start + limit, self._first + len(self._entries))
        return tuple((Position(epoch, at), self._entries[at][1]) for at in range(start, end))

    def _drop(self) -> None:
        self.size -= len(self._entries.pop(self._first)[1])
        self._first += 1


class _Room:
    """What is known of one room: its order, its past, and which pushes have taken effect."""

    __slots__ = ("epoch", "history", "is_attached", "keys", "offset", "producers")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.offset = 0
        self.is_attached = False
        self.history: _History | None = None
        self.producers: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.keys: OrderedDict[str, tuple[float, int]] | None = None

    def keep(self, payload: bytes, keep: Retention | None, now: float) -> None:
        """Keep the event that was numbered last, or forget the past: a history has no holes."""
        if keep is None:
            self.history = None
            return
        if self.history is None:
            self.history = _History(self.offset)
        self.history.append(payload, keep, now)


class MemoryLayer:
    """Implements the port `Layer` for one process, and the capabilities `KeyedState` and `Presence`.

    Order: `deliver` is called before `publish` returns, so the order of the calls is the order of the room.
    Once: a sequence takes effect once; a repeated key does so for `key_ttl_s`, as long as the room is remembered.

    Args:
        idle_room_s: Seconds for which a room without members keeps its numbering, and longer while it has a history.
            A room that comes back later begins a new epoch.
        max_idle_rooms: Rooms without members that are remembered at most; those that would be forgotten next go first.
        key_ttl_s: Seconds for which an idempotency key is remembered.
        max_keys_per_room: Keys of one room that are remembered at most; the oldest are forgotten first.
        max_history_bytes: What the histories of all rooms may take together, with what an event takes beside its
            payload; beyond that the history goes which was least recently pushed to or read, and whoever wants to
            resume from it is told.
        max_values: Values of `KeyedState` that are kept at most; no value is forgotten before its time, so what is new
            is refused then.
        clock: A monotonic time in seconds.
    """

    shared = False

    def __init__(
        self,
        *,
        idle_room_s: float = 300.0,
        max_idle_rooms: int = 10_000,
        key_ttl_s: float = 300.0,
        max_keys_per_room: int = 1000,
        max_history_bytes: int = 256 * 1024 * 1024,
        max_values: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_room_s = idle_room_s
        self._max_idle_rooms = max_idle_rooms
        self._key_ttl_s = key_ttl_s
        self._max_keys_per_room = max_keys_per_room
        self._max_history_bytes = max_history_bytes
        self._clock = clock
        self._token = secrets.token_urlsafe(6)
        self._epochs = 0
        self._rooms: dict[RoomName, _Room] = {}
        self._history_sizes: OrderedDict[RoomName, int] = OrderedDict()  # the least recently used first
        self._history_bytes = 0
        # When each idle room is forgotten, and a heap of when to look at one again: each stands there at most once.
        self._idle: dict[RoomName, float] = {}
        self._looks: list[tuple[float, RoomName]] = []
        self._looked_at: set[RoomName] = set()
        self._deliver: Deliver | None = None
        self._values = Values(max_values, clock)
        self._occupants: dict[RoomName, dict[str, bytes]] = {}
        self._changes = 0

    def __repr__(self) -> str:
        return f"<MemoryLayer rooms={len(self._rooms)} idle={len(self._idle)}>"

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin. Nothing is ever suspected: nothing can be missed between a call and its callee."""
        del suspect
        for name, room in self._rooms.items():
            room.is_attached = False
            self._rest(name, room)
        self._occupants.clear()  # what was said through a loop that has died
        self._deliver = deliver

    async def stop(self) -> None:
        """End; rooms and values are forgotten."""
        self._deliver = None
        self._values.clear()
        self._occupants.clear()
        self._rooms.clear()
        self._history_sizes.clear()
        self._history_bytes = 0
        self._idle.clear()
        self._looks.clear()
        self._looked_at.clear()

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> asyncio.Future[Receipt]:
        """Number an event and deliver it before this returns."""
        if self._deliver is None:
            raise LayerError("memory layer is not started")
        self._sweep()
        state = self._room(room)
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        earlier = self._earlier(state, seq, key)
        if earlier is not None:
            receipt.set_result(Receipt(Position(state.epoch, earlier), duplicate=True))
            return receipt
        state.offset += 1
        if keep is not None or state.history is not None:
            state.keep(payload, keep, self._clock())
            self._weigh(room, state)
        if not state.is_attached:
            self._rest(room, state)
        state.producers[seq.producer] = (seq.number, state.offset)
        if len(state.producers) > _MAX_PRODUCERS:
            state.producers.popitem(last=False)
        if key is not None:
            self._remember(state, key)
        at = Position(state.epoch, state.offset)
        receipt.set_result(Receipt(at))
        if state.is_attached:
            self._deliver(room, at, payload)
        return receipt

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room."""
        self._sweep()
        state = self._room(room)
        state.is_attached = True
        self._idle.pop(room, None)
        return Position(state.epoch, state.offset)

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room; its numbering is kept for a while."""
        state = self._rooms.get(room)
        if state is not None and state.is_attached:
            state.is_attached = False
            self._rest(room, state)
            self._sweep()

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return kept events that follow `after`, the oldest first."""
        self._sweep()
        state = self._rooms.get(room)
        top = Position("", 0) if state is None else Position(state.epoch, state.offset)
        if state is None or after.epoch != top.epoch or after.offset >= top.offset:
            return Page(entries=(), complete=after == top, top=top)
        entries: tuple[tuple[Position, bytes], ...] = ()
        if state.history is not None:
            state.history.expire(self._clock())
            self._weigh(room, state)
            entries = state.history.after(state.epoch, after.offset, limit)
        complete = bool(entries) and entries[0][0].offset == after.offset + 1
        return Page(entries, complete, top)

    # ── core.capabilities.Presence ──

    async def appear(self, room: RoomName, who: str, info: bytes) -> None:
        """Say that somebody is present; a second time replaces the info."""
        if self._occupants.get(room, {}).get(who) != info:
            # First what is so, then the news: whoever is told may ask at once.
            self._occupants.setdefault(room, {})[who] = info
            await self._publish_change(room, Change(who, info))

    async def disappear(self, room: RoomName, who: str) -> None:
        """Say that somebody is no longer present."""
        occupants = self._occupants.get(room, {})
        if who in occupants:
            del occupants[who]
            if not occupants:
                del self._occupants[room]
            await self._publish_change(room, Change(who, None))

    async def occupants(self, room: RoomName) -> Occupants:
        """Return who is present."""
        topic = self._room(presence_topic(room))
        return Occupants(Position(topic.epoch, topic.offset), dict(self._occupants.get(room, {})))

    def _publish_change(self, room: RoomName, change: Change) -> asyncio.Future[Receipt]:
        self._changes += 1
        return self.publish(presence_topic(room), change.pack(), seq=ProducerSeq(self._token, self._changes))

    # ── core.capabilities.KeyedState ──

    async def put_once(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Store a value if the key has none; return whether it was stored.

        Raises:
            LayerAway: As many values are kept as may be.
        """
        return self._values.put_once(key, value, ttl_s)

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Store a value, whatever the key had.

        Raises:
            LayerAway: As many values are kept as may be.
        """
        self._values.put(key, value, ttl_s)

    async def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""
        return self._values.get(key)

    async def take_once(self, key: str) -> bytes | None:
        """Remove and return a value; of all that ask, one gets it."""
        return self._values.take_once(key)

    # ── What is forgotten ──

    def _weigh(self, name: RoomName, room: _Room) -> None:
        """Count what a room's history takes now, and drop whole histories while all take too much."""
        self._history_bytes -= self._history_sizes.pop(name, 0)
        if room.history is not None:
            size = self._history_sizes[name] = room.history.size + _ENTRY_BYTES * len(room.history)
            self._history_bytes += size
        while self._history_sizes and self._history_bytes > self._max_history_bytes:
            oldest, size = self._history_sizes.popitem(last=False)
            self._rooms[oldest].history = None
            self._history_bytes -= size

    def _room(self, name: RoomName) -> _Room:
        state = self._rooms.get(name)
        if state is None:
            self._epochs += 1
            state = self._rooms[name] = _Room(f"{self._token}{self._epochs:x}")
            self._rest(name, state)
        return state

    def _rest(self, name: RoomName, room: _Room) -> None:
        """Forget a room later that nobody is attached to."""
        end = self._clock() + self._idle_room_s
        if room.history is not None:
            end = max(end, room.history.end())
        self._idle[name] = end
        self._look_at(name, end)

    def _look_at(self, name: RoomName, when: float) -> None:
        if name not in self._looked_at:
            self._looked_at.add(name)
            heapq.heappush(self._looks, (when, name))

    def _sweep(self) -> None:
        if not self._looks:
            return
        now = self._clock()
        while self._looks and (self._looks[0][0] <= now or len(self._idle) > self._max_idle_rooms):
            when, name = heapq.heappop(self._looks)
            self._looked_at.remove(name)
            end = self._idle.get(name, -math.inf)  # a room that is attached is looked at when it rests again
            if end > when:
                self._look_at(name, end)
            elif end == when:
                del self._idle[name], self._rooms[name]
                self._history_bytes -= self._history_sizes.pop(name, 0)

    @staticmethod
    def _earlier_of_producer(state: _Room, seq: ProducerSeq) -> int | None:
        number, offset = state.producers.get(seq.producer, (0, 0))
        return offset if seq.number <= number else None

    def _earlier(self, state: _Room, seq: ProducerSeq, key: str | None) -> int | None:
        earlier = self._earlier_of_producer(state, seq)
        if earlier is None and key is not None and state.keys is not None:
            expires, offset = state.keys.get(key, (0.0, 0))
            if expires > self._clock():
                return offset
        return earlier

    def _remember(self, state: _Room, key: str) -> None:
        if state.keys is None:
            state.keys = OrderedDict()
        now = self._clock()
        state.keys.pop(key, None)
        state.keys[key] = (now + self._key_ttl_s, state.offset)
        while state.keys and (
            len(state.keys) > self._max_keys_per_room or next(iter(state.keys.values()))[0] <= now
        ):
            state.keys.popitem(last=False)
