"""The memory layer: numbers events and delivers them in one process.

It keeps no history, and it reaches no other process: a hub that runs in several needs another layer.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from ..core.errors import LayerError
from ..core.names import RoomName
from ..core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from ..core.positions import Position

__all__ = ("MemoryLayer",)

_MAX_PRODUCERS = 16  # of one room; in one process there is one, unless a hub was bound to another loop


class _Room:
    """What is known of one room: its order, and which pushes have taken effect."""

    __slots__ = ("epoch", "is_attached", "keys", "offset", "producers")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.offset = 0
        self.is_attached = False
        self.producers: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.keys: OrderedDict[str, tuple[float, int]] | None = None


class MemoryLayer:
    """Implements the port `Layer` for one process.

    Order: `deliver` is called before `publish` returns, so the order of the calls is the order of the room.
    Once: a sequence takes effect once; a repeated key does so for `key_ttl_s`, as long as the room is remembered.

    Args:
        idle_room_s: Seconds for which a room without members keeps its numbering. A room that comes back later begins
            a new epoch.
        max_idle_rooms: Rooms without members that are remembered at most; the oldest are forgotten first.
        key_ttl_s: Seconds for which an idempotency key is remembered.
        max_keys_per_room: Keys of one room that are remembered at most; the oldest are forgotten first.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_room_s = idle_room_s
        self._max_idle_rooms = max_idle_rooms
        self._key_ttl_s = key_ttl_s
        self._max_keys_per_room = max_keys_per_room
        self._clock = clock
        self._token = secrets.token_urlsafe(6)
        self._epochs = 0
        self._rooms: dict[RoomName, _Room] = {}
        self._idle: OrderedDict[RoomName, float] = OrderedDict()
        self._deliver: Deliver | None = None

    def __repr__(self) -> str:
        return f"<MemoryLayer rooms={len(self._rooms)} idle={len(self._idle)}>"

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin. Nothing is ever suspected: nothing can be missed between a call and its callee."""
        del suspect
        for name, room in self._rooms.items():
            room.is_attached = False
            self._idle[name] = self._clock() + self._idle_room_s
        self._deliver = deliver

    async def stop(self) -> None:
        """End; rooms are forgotten."""
        self._deliver = None
        self._rooms.clear()
        self._idle.clear()

    def publish(
        self, room: RoomName, payload: bytes, *, seq: ProducerSeq, key: str | None = None
    ) -> asyncio.Future[Receipt]:
        """Number an event and deliver it before this returns."""
        if self._deliver is None:
            raise LayerError("memory layer is not started")
        self._sweep()
        state = self._room(room)
        if room in self._idle:
            self._idle[room] = self._clock() + self._idle_room_s
            self._idle.move_to_end(room)
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        earlier = self._earlier(state, seq, key)
        if earlier is not None:
            receipt.set_result(Receipt(Position(state.epoch, earlier), duplicate=True))
            return receipt
        state.offset += 1
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
            self._idle[room] = self._clock() + self._idle_room_s
            self._sweep()

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return no events: none are kept. The page is complete where nothing has followed `after`."""
        del limit
        state = self._rooms.get(room)
        top = Position("", 0) if state is None else Position(state.epoch, state.offset)
        return Page(entries=(), complete=after == top, top=top)

    def _room(self, name: RoomName) -> _Room:
        state = self._rooms.get(name)
        if state is None:
            self._epochs += 1
            state = self._rooms[name] = _Room(f"{self._token}{self._epochs:x}")
            self._idle[name] = self._clock() + self._idle_room_s
        return state

    def _sweep(self) -> None:
        # The oldest stand first, so that each room is looked at once in its life, and one more at each call.
        if not self._idle:
            return
        now = self._clock()
        while self._idle:
            name = next(iter(self._idle))
            if self._idle[name] > now and len(self._idle) <= self._max_idle_rooms:
                break
            del self._idle[name], self._rooms[name]

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
