"""Pushes on their way to the server: joined per room, numbered, and sent again until their answer is known.

Of each room and producer one batch is under way at a time: while it is, what follows is joined to the next. So the
server has to remember one batch to tell a repeated one from a new one, and the pushes of a producer cannot overtake
each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from ...core.errors import LayerAway, LayerError, PushInDoubt
from ...core.names import RoomName
from ...core.policies import Retention
from ...core.ports import ProducerSeq, Receipt
from ...core.positions import Position
from .keys import Keys, RoomKeys
from .library import function
from .link import CommandError, Link

__all__ = ("AS_BEFORE", "Bounds", "Publisher", "keep_text")

AS_BEFORE: Final = "="
"""Keep what the room has kept so far; for producers that do not know its policy."""

_MAX_BATCH: Final = 128
_MAX_BATCH_BYTES: Final = 256 * 1024

_PUBLISH: Final = function("publish")
_KNOWN_AS_THIS_BATCH: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may be under way, and for how long.

    Attributes:
        max_pushes: Pushes without an answer; more are refused.
        max_bytes: Bytes of their payloads.
        answer_timeout_s: Seconds for which the answer of a push that was sent is asked for; then it is in doubt.
        hold_s: Seconds for which pushes are held while the server is away; with 0 they are refused.
        idle_room_s: Seconds for which a room that nobody uses keeps its numbering.
        key_ttl_s: Seconds for which an idempotency key is remembered.
        producer_ttl_s: Seconds for which a producer's last pushes to a room are remembered.
    """

    max_pushes: int = 10_000
    max_bytes: int = 32 * 1024 * 1024
    answer_timeout_s: float = 10.0
    hold_s: float = 0.0
    idle_room_s: float = 300.0
    key_ttl_s: float = 300.0
    producer_ttl_s: float = 600.0


class _Push:
    __slots__ = ("deadline", "future", "keep", "key", "number", "payload")

    def __init__(self, number: int, payload: bytes, *, key: str | None, keep: str, deadline: float) -> None:
        self.number = number
        self.payload = payload
        self.key = key
        self.keep = keep
        self.deadline = deadline
        self.future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()


class _Lane:
    """The pushes of one producer to one room."""

    __slots__ = ("batch", "identity", "is_repeated", "keys", "producer", "room", "waiting")

    def __init__(self, room: RoomName, keys: RoomKeys, producer: str) -> None:
        self.room = room
        self.keys = keys
        self.producer = producer
        self.waiting: deque[_Push] = deque()
        self.batch: list[_Push] = []
        self.identity = b""
        """The run of the server that the batch was sent to first."""
        self.is_repeated = False

    def fill(self) -> None:
        """Take the next batch: pushes that are kept alike and whose numbers rise; one with a key goes alone."""
        waiting, batch = self.waiting, self.batch
        first = waiting.popleft()
        batch.append(first)
        size, number, keep = len(first.payload), first.number, first.keep
        if first.key is not None:
            return
        while waiting and len(batch) < _MAX_BATCH and size < _MAX_BATCH_BYTES:
            push = waiting[0]
            if push.key is not None or push.keep != keep or push.number <= number:
                return
            batch.append(waiting.popleft())
            size += len(push.payload)
            number = push.number


class Publisher:
    """Sends pushes and tells what became of each.

    Args:
        keys: The names of keys.
        bounds: What may be under way.
        reload: Loads the functions again on a link, and calls back.
        clock: A monotonic time in seconds.
    """

    def __init__(
        self,
        keys: Keys,
        bounds: Bounds,
        reload: Callable[[Link, Callable[[LayerError | None], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self.pending: int = 0
        self.pending_bytes: int = 0
        self._keys = keys
        self._bounds = bounds
        self._reload = reload
        self._clock = clock
        self._link: Link | None = None
        self._reason = ""
        self._lanes: dict[tuple[RoomName, str], _Lane] = {}
        self._ready: list[_Lane] = []
        self._loop = asyncio.get_running_loop()
        self._idle_ms = int(bounds.idle_room_s * 1000)
        self._producer_ms = int(bounds.producer_ttl_s * 1000)
        self._key_ms = int(bounds.key_ttl_s * 1000)

    def publish(
        self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None, keep: str
    ) -> asyncio.Future[Receipt]:
        """Take a push; it is sent in this pass of the loop, or when the batch before it is answered."""
        patience = self._bounds.answer_timeout_s if self._link is not None else self._bounds.hold_s
        push = _Push(seq.number, payload, key=key, keep=keep, deadline=self._clock() + patience)
        if (refusal := self._refusal(len(payload))) is not None:
            push.future.set_exception(refusal)
            push.future.exception()  # nobody has to await it
            return push.future
        self.pending += 1
        self.pending_bytes += len(payload)
        lane = self._lanes.get((room, seq.producer))
        if lane is None:
            lane = self._lanes[room, seq.producer] = _Lane(room, self._keys.room(room), seq.producer)
        lane.waiting.append(push)
        if not lane.batch and len(lane.waiting) == 1:
            if not self._ready:
                self._loop.call_soon(self._flush)
            self._ready.append(lane)
        return push.future

    def _refusal(self, size: int) -> LayerError | None:
        bounds = self._bounds
        if self._link is None and not bounds.hold_s:
            return LayerAway(f"push was refused, the layer is away: {self._reason}")
        if self.pending >= bounds.max_pushes or self.pending_bytes + size > bounds.max_bytes:
            return LayerAway(
                f"push was refused, {self.pending} pushes of {self.pending_bytes} bytes wait for the layer already"
            )
        return None

    # ── The link ──

    def up(self, link: Link) -> None:
        """Send on a new link all that has no answer, in its order."""
        self._link = link
        self._ready = list(self._lanes.values())
        self._flush()

    def down(self, reason: str) -> None:
        """Know that there is no link; what was sent is sent again on the next one."""
        self._link = None
        self._reason = reason

    def expire(self) -> None:
        """Give up what has waited for too long while there is no link; a link that is there is watched by its line."""
        if self._link is not None:
            return
        now = self._clock()
        for (room, producer), lane in list(self._lanes.items()):
            waiting = lane.waiting
            while waiting and waiting[0].deadline <= now:
                self._fail(
                    waiting.popleft(), LayerAway(f"push was given up, the layer is away: {self._reason}")
                )
            if lane.batch and lane.batch[0].deadline <= now:
                self._give_up(lane)
            if not lane.batch and not waiting:
                del self._lanes[room, producer]

    async def emptied(self, timeout_s: float) -> None:
        """Return once every push is answered, or the time is over."""
        futures = [push.future for lane in self._lanes.values() for push in (*lane.batch, *lane.waiting)]
        if futures:
            await asyncio.wait(futures, timeout=timeout_s)

    def stop(self) -> None:
        """Give up everything."""
        self._link = None
        for lane in self._lanes.values():
            while lane.waiting:
                self._fail(lane.waiting.popleft(), LayerAway("push was given up, the layer was stopped"))
            self._give_up(lane)
        self._lanes.clear()

    def _give_up(self, lane: _Lane) -> None:
        for push in lane.batch:
            self._fail(
                push, PushInDoubt("push may have taken effect; the layer went away before it had answered")
            )
        lane.batch = []

    # ── Sending ──

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for lane in ready:
            if lane.waiting or lane.batch:
                self._send(lane)

    def _send(self, lane: _Lane) -> None:
        link = self._link
        if link is None:
            return
        lane.is_repeated = bool(lane.batch)
        if not lane.batch:
            lane.fill()
            lane.identity = link.identity
        batch = lane.batch
        first = batch[0]
        keys = lane.keys
        names = [keys.meta, keys.stream, keys.producer(lane.producer)]
        if first.key is not None:
            names.append(keys.key(first.key))
        since = lane.identity if lane.is_repeated else b""
        command: list[str | bytes | int] = [
            "FCALL", _PUBLISH, len(names), *names,
            keys.channel, since, first.keep, self._idle_ms, self._producer_ms, self._key_ms,
        ]  # fmt: skip
        for push in batch:
            command.append(push.number)
            command.append(push.payload)
        link.send(command, lambda answer: self._answered(lane, batch, link, answer))

    def _answered(self, lane: _Lane, batch: list[_Push], link: Link, answer: object) -> None:
        if lane.batch is not batch:
            return  # given up meanwhile
        if isinstance(answer, LayerError):
            self._failed(lane, link, answer)
            return
        epoch, first, known, last_known, why = cast("tuple[bytes, int, int, int, int]", answer)
        name = epoch.decode()
        is_again = why == _KNOWN_AS_THIS_BATCH
        for i, push in enumerate(batch):
            if is_again:
                # Whoever pushed it pushed it once: it was the layer that has asked twice.
                receipt = Receipt(Position(name, first + i), duplicate=not lane.is_repeated)
            elif i < known:
                receipt = Receipt(Position(name, last_known), duplicate=True)
            else:
                receipt = Receipt(Position(name, first + i - known))
            self._count_out(push)
            if not push.future.done():
                push.future.set_result(receipt)
        self._next(lane)

    def _failed(self, lane: _Lane, link: Link, error: LayerError) -> None:
        if isinstance(error, LayerAway):
            return  # it is sent again on the next link
        code = error.code if isinstance(error, CommandError) else ""
        if "Function not found" in str(error):
            self._reload(link, lambda problem: self._reloaded(lane, link, problem))
            return
        if code == "DOUBT":
            self._give_up(lane)
        else:
            for push in lane.batch:
                self._fail(push, LayerError(f"push was refused: {error}"))
        self._next(lane)
        if code == "READONLY":
            link.end("server has become a read-only replica")

    def _reloaded(self, lane: _Lane, link: Link, problem: LayerError | None) -> None:
        if problem is not None and not isinstance(problem, LayerAway):
            self._failed(lane, link, problem)
        elif self._link is link:
            self._send(lane)

    def _next(self, lane: _Lane) -> None:
        lane.batch = []
        if lane.waiting:
            self._send(lane)
        elif (lane.room, lane.producer) in self._lanes:
            del self._lanes[lane.room, lane.producer]

    def _fail(self, push: _Push, error: LayerError) -> None:
        self._count_out(push)
        if not push.future.done():
            push.future.set_exception(error)
            push.future.exception()  # nobody has to await it

    def _count_out(self, push: _Push) -> None:
        self.pending -= 1
        self.pending_bytes -= len(push.payload)


def keep_text(keep: Retention | None) -> str:
    """Return what the library takes for a retention; empty for none."""
    return "" if keep is None else f"{keep.events} {keep.max_bytes} {max(1, int(keep.ttl_s * 1000))}"
