"""A layer for unit tests: it keeps every event, shows what was published, and fails when it is told to.

It reaches no other process, and it forgets nothing, so it is not for programs that run long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..core.errors import LayerError
from ..core.names import RoomName, node_topic
from ..core.policies import Retention
from ..core.ports import Deliver, Page, ProducerSeq, Receipt, Suspect
from ..core.positions import Position

__all__ = ("FakeLayer", "Published")


@dataclass(frozen=True, slots=True)
class Published:
    """One call of `publish`, whatever became of it."""

    room: RoomName
    payload: bytes
    seq: ProducerSeq
    key: str | None
    keep: Retention | None


@dataclass(slots=True)
class _Log:
    epoch: str
    payloads: list[bytes] = field(default_factory=list)
    seqs: dict[ProducerSeq, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)

    @property
    def top(self) -> Position:
        return Position(self.epoch, len(self.payloads))


class FakeLayer:
    """Implements the port `Layer`, with a history of everything; it passes `check_layer`.

    Args:
        shared: What it says of itself.
        delivers_at_once: Whether `deliver` is called before `publish` returns, as by the memory layer; otherwise in a
            later pass of the loop, as by layers that are reached over a network.

    Attributes:
        published: Every call of `publish`, in order.
    """

    def __init__(self, *, shared: bool = False, delivers_at_once: bool = True) -> None:
        self.shared = shared
        self.published: list[Published] = []
        self._at_once = delivers_at_once
        self._logs: dict[RoomName, _Log] = {}
        self._attached: dict[RoomName, Position] = {}
        self._epochs = 0
        self._calls: tuple[Deliver, Suspect] | None = None
        self._may_attach = asyncio.Event()
        self._may_attach.set()
        self._held: deque[Callable[[], None]] | None = None
        self._publish_failures: deque[tuple[LayerError, bool]] = deque()
        self._attach_failures: deque[LayerError] = deque()
        self._start_failures: deque[LayerError] = deque()

    @property
    def attached(self) -> frozenset[RoomName]:
        """The rooms and topics that are delivered, but for that on which a hub gets messages of other processes."""
        return frozenset(name for name in self._attached if not name.startswith(node_topic("")))

    # ── The script ──

    def fail_start(self, error: LayerError) -> None:
        """Let the next `start` raise."""
        self._start_failures.append(error)

    def fail_attach(self, error: LayerError) -> None:
        """Let the next `attach` raise, once it is not held."""
        self._attach_failures.append(error)

    def fail_publish(self, error: LayerError, *, takes_effect: bool = False) -> None:
        """Let the next push fail: without effect, or with it and only its answer lost."""
        self._publish_failures.append((error, takes_effect))

    def hold_attach(self) -> None:
        """Let every `attach` wait until `release_attach`."""
        self._may_attach.clear()

    def release_attach(self) -> None:
        """Let them go on."""
        self._may_attach.set()

    def hold_delivery(self) -> None:
        """Number events and deliver none until `release_delivery`."""
        self._held = deque()

    def release_delivery(self) -> None:
        """Deliver what was held, in order."""
        held, self._held = self._held or (), None
        for deliver in held:
            deliver()

    def drop_delivery(self) -> None:
        """Forget what was held, and hold no longer: as when a subscription breaks."""
        self._held = None

    def suspect(self, room: str) -> None:
        """Say that events of a room may have been missed."""
        if self._calls is None:
            raise LayerError("fake layer is not started")
        self._calls[1](RoomName(room))

    def lose_room(self, room: str) -> None:
        """Forget a room's events, as a failover does: its next event begins an epoch."""
        self._logs.pop(RoomName(room), None)
        if RoomName(room) in self._attached:
            self._attached[RoomName(room)] = self._log(RoomName(room)).top

    # ── Layer ──

    async def start(self, deliver: Deliver, suspect: Suspect) -> None:
        """Begin."""
        if self._start_failures:
            raise self._start_failures.popleft()
        self._calls = (deliver, suspect)

    async def stop(self) -> None:
        """End; the events are kept."""
        self._calls = None
        self._attached.clear()

    def publish(
        self,
        room: RoomName,
        payload: bytes,
        *,
        seq: ProducerSeq,
        key: str | None = None,
        keep: Retention | None = None,
    ) -> asyncio.Future[Receipt]:
        """Number an event and deliver it, unless the script says otherwise.

        Raises:
            LayerError: The layer is not started.
        """
        if self._calls is None:
            raise LayerError("fake layer is not started")
        self.published.append(Published(room, payload, seq, key, keep))
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if not self._publish_failures:
            answer.set_result(self._take(room, payload, seq, key))
            return answer
        error, takes_effect = self._publish_failures.popleft()
        if takes_effect:
            self._take(room, payload, seq, key)
        answer.set_exception(error)
        return answer

    async def attach(self, room: RoomName) -> Position:
        """Begin to deliver a room."""
        await self._may_attach.wait()
        if self._attach_failures:
            raise self._attach_failures.popleft()
        top = self._attached[room] = self._log(room).top
        return top

    def detach(self, room: RoomName) -> None:
        """Cease to deliver a room."""
        self._attached.pop(room, None)

    async def history(self, room: RoomName, after: Position, limit: int) -> Page:
        """Return what followed `after`, whether it was to be kept or not."""
        log = self._log(room)
        if after.epoch != log.epoch or after.offset > log.top.offset:
            return Page((), complete=False, top=log.top)
        entries = [
            (Position(log.epoch, number), payload)
            for number, payload in enumerate(
                log.payloads[after.offset : after.offset + limit], after.offset + 1
            )
        ]
        return Page(tuple(entries), complete=True, top=log.top)

    def _log(self, room: RoomName) -> _Log:
        if room not in self._logs:
            self._epochs += 1
            self._logs[room] = _Log(f"fake{self._epochs}")
        return self._logs[room]

    def _take(self, room: RoomName, payload: bytes, seq: ProducerSeq, key: str | None) -> Receipt:
        log = self._log(room)
        earlier = log.seqs.get(seq) or (None if key is None else log.keys.get(key))
        if earlier is not None:
            return Receipt(Position(log.epoch, earlier), duplicate=True)
        log.payloads.append(payload)
        log.seqs[seq] = log.top.offset
        if key is not None:
            log.keys[key] = log.top.offset
        # Kept now, because a push from within `deliver` moves the top on.
        receipt = Receipt(log.top)
        deliver = partial(self._deliver, room, receipt.position, payload)
        if self._held is not None:
            self._held.append(deliver)
        elif self._at_once:
            deliver()
        else:
            asyncio.get_running_loop().call_soon(deliver)
        return receipt

    def _deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        since = self._attached.get(room)
        # A room may have been detached meanwhile, and attached again behind this event, or begun anew.
        if (
            self._calls is not None
            and since is not None
            and since.epoch == at.epoch
            and since.offset < at.offset
        ):
            self._calls[0](room, at, payload)
