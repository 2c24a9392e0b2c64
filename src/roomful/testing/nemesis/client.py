"""A client of the nemesis: it visits as its plan says, resumes as `roomful.js` does, and in the end becomes whole.

What it receives is judged as it comes; what it does next does not depend on it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import msgspec

from ...core.close_codes import may_come_back
from ...core.positions import Position
from .plan import Act, Ending, Plan, Step, Visit
from .record import IN_DOUBT, Asked, Record
from .seats import Seats
from .wire import Wire, dial

__all__ = ("Client", "Scene")

_HANDSHAKE_S: Final = 10.0
_STEP_S: Final = 2.0
"""Time that a deed may take which waits for an answer; then the client goes on without."""
_CLOSING_S: Final = 2.0
_LOOK_S: Final = 0.005
_MOST_UNANSWERED: Final = 8
_MOST_ROOMS: Final = 12

_encode: Final = msgspec.json.Encoder().encode


class Scene(Protocol):
    """Where a client acts."""

    record: Record
    plan: Plan
    run: str
    """Names this run, so that no name of it is known to a server from an earlier one."""

    def port(self, visit: Visit | None) -> int:
        """Return where to connect, through a proxy where the visit has a script; None for the straight way."""


class Client:
    """One client.

    Args:
        number: Its number.
        scene: Where it acts.
        path: The path at which the subject is mounted, up to the rooms.

    Attributes:
        closes: How its connections ended, by close code.
    """

    def __init__(self, number: int, scene: Scene, path: str) -> None:
        self.closes: dict[int, int] = {}
        self._number = number
        self._scene = scene
        self._path = path
        self._record = scene.record
        self._seats = Seats(number, scene.record, self._replied)
        self._wire: Wire | None = None
        self._asked: dict[int, Asked] = {}
        self._unanswered: dict[int, bytes] = {}
        """What is sent again when the connection is back, in order."""
        self._again: tuple[str, bytes] | None = None
        """What the server's memory was called when a message was answered, and the message."""
        self._memory: str | None = None
        """What the server called its memory last."""
        self._names = 0
        self._session = 0
        self._leaving: dict[int, tuple[str, Position | None]] = {}
        self._waiting: dict[int, asyncio.Future[tuple[str, ...]]] = {}

    async def live(self) -> None:
        """Visit until cancelled."""
        number = 0
        while True:
            visit = self._scene.plan.visit(self._number, number)
            number += 1
            await asyncio.sleep(visit.after_s)
            await self._visit(visit)

    async def become_whole(self) -> None:
        """Resume what is open, hear the rest, and leave every room in good order.

        Raises:
            TimeoutError: It did not come so far in time.
        """
        async with asyncio.timeout(self._scene.plan.calm_s):
            await self._part(Ending.RESET)
            while True:
                if await self._connect(None) and await self._finish():
                    break
                await self._part(Ending.RESET)
                await asyncio.sleep(0.05)
            await self._part(Ending.CLOSE)

    # ── A visit ──

    async def _visit(self, visit: Visit) -> None:
        if visit.forgets:
            self._seats.abandon()
            self._give_up()
            self._again = None
            self._names += 1
        for room in visit.rooms:
            if room not in self._seats.wanted and len(self._seats.wanted) < _MOST_ROOMS:
                self._seats.take(room)
        if await self._connect(visit):
            for step in visit.steps:
                await asyncio.sleep(step.after_s)
                if self._wire is None or not self._wire.is_open:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STEP_S):
                        await self._do(step)
        await self._part(visit.ending)

    async def _connect(self, visit: Visit | None) -> bool:
        self._memory = self._seats.memory or self._memory
        resume = self._seats.dial()
        rooms = quote(",".join(self._seats.wanted) or "bare:nowhere", safe=",:")
        if not self._seats.wanted:
            self._seats.take("bare:nowhere")
        query = {"resume": json.dumps(resume)} if resume else {}
        if self._scene.plan.inbound:
            query["client"] = f"{self._scene.run}-{self._number}-{self._names}"
        wire = self._wire = Wire(f"{self._path}{rooms}?{urlencode(query)}", self._received)
        try:
            await dial(self._scene.port(visit), wire, receive_buffer=visit.receive_buffer if visit else None)
        except OSError:
            await asyncio.sleep(0.05)
            return False
        if not await wire.opened(_HANDSHAKE_S):
            wire.reset()
            return False
        return not self._unanswered or await self._send_again(wire)

    async def _send_again(self, wire: Wire) -> bool:
        """Send what was not answered, if the server remembers it; return whether the connection is of use."""
        give_up_at = asyncio.get_running_loop().time() + _HANDSHAKE_S
        while self._scene.plan.inbound and self._seats.memory is None:
            if await wire.ended(_LOOK_S) or asyncio.get_running_loop().time() >= give_up_at:
                return False
        if self._seats.memory is None or self._seats.memory != self._memory:
            self._give_up()
        for message in self._unanswered.values():
            wire.send(message)
        return True

    def _give_up(self) -> None:
        """Leave in doubt what was not answered; it may still take effect, in whatever order."""
        self._unanswered.clear()
        self._session += 1

    async def _part(self, ending: Ending) -> None:
        wire, self._wire = self._wire, None
        if wire is None or not wire.is_made:
            return
        wire.read_on()
        try:
            if ending is Ending.CLOSE and wire.close_code is None:
                wire.close()
                await wire.ended(_CLOSING_S)
            elif ending is Ending.HANG_UP:
                wire.hang_up()
                await wire.ended(_CLOSING_S)
        finally:
            # Nothing of it may come after this: the next connection says from where it resumes.
            wire.reset()
        await wire.ended(_CLOSING_S)
        if wire.surplus:
            self._record.contradict(f"client {self._number} got {wire.surplus} messages behind a close frame")
        code = wire.close_code or 0
        self.closes[code] = self.closes.get(code, 0) + 1
        if code and code != 1000 and not may_come_back(code):
            self._record.contradict(f"client {self._number} was told to stay away with {code}")
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
        self._leaving.clear()

    async def _finish(self) -> bool:
        """Hear everything, and leave every room; return whether that went well."""
        wire = self._wire
        assert wire is not None  # it is connected
        while not self._seats.is_seated or self._unanswered:
            if await wire.ended(_LOOK_S):
                return False
        for room in self._seats.wanted:
            answer = await self._leave(room)
            if answer is None:
                return False
        return True

    # ── Deeds ──

    async def _do(self, step: Step) -> None:
        wire = self._wire
        assert wire is not None  # a visit has one
        wanted = self._seats.wanted
        match step.act:
            case Act.STALL:
                wire.stop_reading()
                try:
                    await wire.ended(step.amount / 1000)
                finally:
                    wire.read_on()
            case Act.JOIN:
                self._join(step)
            case Act.LEAVE if len(wanted) > 1 and not self._leaving:
                await self._leave(wanted[step.room % len(wanted)])
            case Act.AGAIN if self._again is not None and self._again[0] == self._seats.memory:
                wire.send(self._again[1])
            case Act.LEAVE | Act.AGAIN:
                pass
            case _:
                await self._ask(step, wanted[step.room % len(wanted)])

    def _join(self, step: Step) -> None:
        assert self._wire is not None  # a visit has one
        gone = [room for room, seat in self._seats.rooms.items() if not seat.is_wanted]
        if not gone or len(self._seats.wanted) >= _MOST_ROOMS:
            return
        room = gone[step.room % len(gone)]
        since = self._seats.take(room, resume=step.amount % 2 == 0)
        data = {"room": room, "since": None if since is None else str(since)}
        self._wire.send(_encode({"type": "enter", "data": data}))

    async def _leave(self, room: str) -> tuple[str, ...] | None:
        until: Position | None = None
        if not self._scene.plan.replies_last:
            # The event that is pushed as the client leaves may be delivered when it has left; one before it must come.
            posted = await self._sent(self._new(room, Act.POST, 1, 20), Act.POST, wait=True)
            if posted is None or not await self._heard(room, until := Position.parse(posted[0])):
                return None
        asked = self._new(room, Act.LEAVE, 1, 20)
        self._leaving[asked.number] = room, until
        return await self._sent(asked, Act.LEAVE, wait=True)

    async def _heard(self, room: str, at: Position) -> bool:
        """Wait until everything up to a position has come or was told; return False if the connection ended first."""
        wire = self._wire
        while not self._seats.has_heard(room, at):
            if wire is None or await wire.ended(_LOOK_S):
                return False
        return True

    async def _ask(self, step: Step, room: str) -> None:
        count = step.amount if step.act is Act.BURST else 1
        asked = self._new(room, step.act, count, step.size)
        if step.act is Act.HANG:
            await self._sent(asked, step.act, wait=False)
            return
        while len(self._unanswered) >= _MOST_UNANSWERED:
            await self._wait_for(next(iter(self._unanswered)))
            if self._wire is None or not self._wire.is_open:
                return
        await self._sent(asked, step.act, wait=step.amount % 3 == 0)

    def _new(self, room: str, act: Act, count: int, size: int) -> Asked:
        number = len(self._asked)
        name = f"{self._scene.run}.{self._number}.{number}"
        # Without an answer nobody sends it again, so it may come behind what is sent on the next connection.
        session = f"{self._number}, session {self._session}{', leaving' if act is Act.LEAVE else ''}"
        asked = Asked(session, number, room, name, count, size, has_effect=act not in (Act.CRASH, Act.HANG))
        self._asked[number] = asked
        self._record.asks(asked)
        return asked

    async def _sent(self, asked: Asked, act: Act, *, wait: bool) -> tuple[str, ...] | None:
        assert self._wire is not None  # a visit has one
        data = {
            "room": asked.room,
            "name": asked.name,
            "how": act.value,
            "count": asked.count,
            "size": asked.size,
        }
        message = _encode({"type": "ask", "id": asked.name, "data": data})
        if act not in (Act.LEAVE, Act.HANG):
            self._unanswered[asked.number] = message
        self._wire.send(message)
        return await self._wait_for(asked.number) if wait else None

    async def _wait_for(self, number: int) -> tuple[str, ...] | None:
        wire = self._wire
        if wire is None:
            return None
        future = self._waiting.setdefault(number, asyncio.get_running_loop().create_future())
        ended = asyncio.ensure_future(wire.ended())
        waited: set[asyncio.Future[object]] = {future, ended}  # type: ignore[arg-type] # a set is invariant
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        return future.result() if future.done() and not future.cancelled() else None

    # ── What comes ──

    def _received(self, text: bytes) -> None:
        self._seats.received(text)

    def _replied(self, number: int, answer: tuple[str, ...]) -> None:
        asked = self._asked.get(number)
        if asked is None:
            self._record.contradict(
                f"client {self._number} got a reply to message {number}, which it never sent"
            )
            return
        self._record.answered(asked, answer)
        if self._scene.plan.replies_last:
            self._seats.replied(asked.room, answer)
        message = self._unanswered.pop(number, None)
        if message is not None and self._seats.memory is not None and answer != IN_DOUBT:
            self._again = self._seats.memory, message
        if (leaving := self._leaving.pop(number, None)) is not None:
            room, until = leaving
            self._seats.left(room, until or Position.parse(answer[0]))
        if (future := self._waiting.pop(number, None)) is not None and not future.done():
            future.set_result(answer)
