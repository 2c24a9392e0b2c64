"""The desk: where one consumer gets what its client and its channel send, one message at a time.

It reads ahead within bounds, so that it learns in time that the client has gone. It knows neither what a message means
nor which handler takes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..core.limits import Limits
from ..django.lanes import Place
from ..django.mailbox import Missed
from .exceptions import StopConsumer

if TYPE_CHECKING:
    from ..django.lanes import Lanes
    from .sources import Source

__all__ = ("Desk", "Dispatch", "Event", "Receive", "Send")

logger: Final = logging.getLogger("roomful.channels")

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Dispatch: TypeAlias = Callable[[Event], Awaitable[object]]

_MAX_MESSAGES_A_PASS: Final = 64
"""Messages that are handled before the loop has a turn, also where no handler ever waits."""


class Desk:
    """Runs one consumer.

    Order: messages of the client in the order of their arrival, those of the channel likewise, both in turns.
    End: when the client has gone, what it had sent is handled within `Limits.handler_grace_s`, then the handler that
    runs is cancelled, and the disconnect is handled. What waits in the channel is not handled any more.

    Args:
        dispatch: Handles one event of the server. What it raises ends the consumer.
        receive: ASGI's.
        source: The consumer's channel, where it has one.
        deliver: Handles one message of the channel, likewise.
        missed: Told how many messages of the channel were dropped, or None where nobody knows.
        cork: Called when several messages are handled in one go, so that the server may join what they send.
        reads_ahead: Whether it receives while a handler runs. A worker's must not: what it has not received is left for
            another.
        limits: How far it reads ahead, and how long handlers have in the end.
        lanes: Where handlers use the database.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        receive: Receive,
        source: Source | None,
        *,
        deliver: Dispatch,
        missed: Callable[[int | None], Awaitable[object]],
        cork: Callable[[], object] | None,
        reads_ahead: bool,
        limits: Limits,
        lanes: Lanes,
    ) -> None:
        self._dispatch = dispatch
        self._receive = receive
        self._source = source
        self._deliver = deliver
        self._limits = limits
        self._lanes = lanes
        self._place = Place()
        self._missed = missed
        self._cork = cork
        self._reads_ahead = reads_ahead
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._end: Event | None = None
        self._failure: BaseException | None = None
        self._is_busy = False
        self._is_cut = False
        self._is_over = False
        self._channel_is_next = False
        self._sleeping: asyncio.Future[None] | None = None
        self._may_read: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Handle messages until a handler raises `StopConsumer` or the client's disconnect has been handled.

        Raises:
            Exception: What a handler, `receive` or the channel raised.
        """
        self._task = asyncio.current_task()
        reader = asyncio.Task(self._read(), loop=asyncio.get_running_loop())
        tokens = self._lanes.enter(self._place)
        if self._source is not None:
            self._source.start(self.wake, self._fail)
        handled = 0
        try:
            while True:
                handling = self._next()
                if handling is None:
                    await self._sleep()
                    continue
                self._is_busy = True
                try:
                    await handling
                except asyncio.CancelledError:
                    self._after(is_cut=True)
                else:
                    if self._is_cut or self._place.lane is not None or not self._reads_ahead:
                        self._after(is_cut=False)
                self._is_busy = False
                if self._is_over:
                    return
                handled += 1
                if handled % _MAX_MESSAGES_A_PASS == 0:
                    await asyncio.sleep(0)
        except StopConsumer:
            return
        finally:
            if self._grace is not None:
                self._grace.cancel()
            reader.cancel()
            self._lanes.leave(self._place)
            self._lanes.exit(tokens)
            if self._source is not None:
                await self._source.stop()
            await asyncio.wait((reader,))

    async def end(self, clean_up: Awaitable[object]) -> None:
        """Run what has to be done after a handler has failed."""
        try:
            async with asyncio.timeout(self._limits.disconnect_timeout_s), self._lanes.lane():
                await clean_up
        except TimeoutError:
            logger.error("disconnect did not end within %s s", self._limits.disconnect_timeout_s)  # noqa: TRY400 -- where it was stuck is in the consumer's own code

    def wake(self) -> None:
        """Look for a message, because there may be one."""
        sleeping, self._sleeping = self._sleeping, None
        if sleeping is not None and not sleeping.done():
            sleeping.set_result(None)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.wake()

    async def _sleep(self) -> None:
        self._sleeping = asyncio.get_running_loop().create_future()
        await self._sleeping

    # ── What comes ──

    def _next(self) -> Awaitable[object] | None:
        """Return the handling of the next message, which has not begun."""
        if self._failure is not None:
            raise self._failure
        source = self._source
        if source is not None and self._end is None and (self._channel_is_next or not self._waiting):
            taken = source.take()
            if isinstance(taken, Missed):
                return self._missed(taken.count)
            if taken is not None:
                if self._cork is not None and source.has_more:
                    self._cork()
                self._channel_is_next = False
                return self._deliver(taken)
        if not self._waiting:
            return None
        self._channel_is_next = True
        event = self._waiting.popleft()
        self._bytes -= _size(event)
        if self._reads_ahead:
            self._read_on()
        if self._cork is not None and self._waiting:
            self._cork()
        self._is_over = event is self._end
        return self._dispatch(event)

    async def _read(self) -> None:
        try:
            while True:
                event = await self._receive()
                self._waiting.append(event)
                self._bytes += _size(event)
                self.wake()
                if str(event.get("type", "")).endswith(".disconnect"):
                    self._ended(event)
                    return
                while not self._has_room:
                    self._may_read = asyncio.get_running_loop().create_future()
                    await self._may_read
        except Exception as error:  # noqa: BLE001 -- raised where the messages are handled
            self._fail(error)

    @property
    def _has_room(self) -> bool:
        if not self._reads_ahead:
            return not self._waiting and not self._is_busy
        limits = self._limits
        return len(self._waiting) < limits.max_inbox_messages and self._bytes < limits.max_inbox_bytes

    def _read_on(self) -> None:
        may_read, self._may_read = self._may_read, None
        if may_read is not None and not may_read.done():
            may_read.set_result(None)

    # ── Handling ──

    def _after(self, *, is_cut: bool) -> None:
        """Know that a handler has ended; raise what cancelled it unless that was this desk."""
        self._is_busy = False
        self._lanes.leave(self._place, is_cut=is_cut)
        self._read_on()
        cut, self._is_cut = self._is_cut, False
        assert self._task is not None  # the one that runs this
        if (cut and self._task.uncancel() > 0) or (is_cut and not cut):
            raise asyncio.CancelledError

    def _ended(self, event: Event) -> None:
        self._end = event
        if self._is_busy or len(self._waiting) > 1:
            self._grace = asyncio.get_running_loop().call_later(self._limits.handler_grace_s, self._cut)

    def _cut(self) -> None:
        dropped = len(self._waiting) - 1 if self._end in self._waiting else 0
        if dropped > 0 and self._end is not None:
            logger.warning(
                "%d messages of a client dropped; the handler did not finish within %s s of its end",
                dropped,
                self._limits.handler_grace_s,
            )
            self._waiting = deque((self._end,))
        if self._is_busy and self._end in self._waiting and self._task is not None:
            self._is_cut = True
            self._task.cancel()


def _size(event: Event) -> int:
    return len(event.get("text") or event.get("bytes") or event.get("body") or "")
