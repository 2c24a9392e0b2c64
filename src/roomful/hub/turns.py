"""Turns: a connection's handler sees one message at a time, in order, and its clean-up once.

A task exists only while a handler runs. Nothing here knows what a message means.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING

from .grace import Grace
from .parking import Parking
from .waiting import Waiting

if TYPE_CHECKING:
    from ..core.limits import Limits
    from ..core.names import ConnectionId
    from ..core.ports import Handler
    from .inbox import Inbox
    from .statistics import Counters

__all__ = ("Turns",)

logger: logging.Logger = logging.getLogger("roomful.hub")

_EAGER = sys.version_info >= (3, 12)

# A handler answers for its own errors, so this one is a defect of the handler's adapter.
_DEFECT = "connection %s: handler raised outside its turn"


class Turns(Waiting):
    """Runs the handler of one connection.

    It begins busy (`connect` is running) and takes its first turn with `begin`. When the connection has ended, what
    was received is still handled, for `Limits.handler_grace_s`; then the handler is cancelled. `Handler.closed` runs
    after that, exactly once, and `ended` is called last.

    Args:
        name: The connection's id, for the log.
        handler: The consumer.
        limits: The bounds of the inbox and the times of the end.
        counters: Where stuck handlers and unhandled messages are counted.
        read_on: Called when the inbox has room again after `offer` returned False.
        ended: Called once, when nothing of the handler runs any more.
        parking: Where the task waits for the next message; None where a task costs less than that.
    """

    __slots__ = (
        "_busy",
        "_code",
        "_context",
        "_ended",
        "_grace",
        "_handler",
        "_held_back",
        "_loop",
        "_name",
        "_parked",
        "_parking",
        "_read_on",
        "_task",
        "_was_busy",
        "_worker",
    )

    def __init__(
        self,
        name: ConnectionId,
        handler: Handler,
        *,
        limits: Limits,
        counters: Counters,
        read_on: Callable[[], None],
        ended: Callable[[], None],
        parking: Parking | None = None,
    ) -> None:
        super().__init__(limits, counters)
        self._name = name
        self._handler: Handler | None = handler
        self._read_on = read_on
        self._ended = ended
        self._parking = parking
        self._parked: asyncio.Future[Awaitable[None] | None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._was_busy = False
        self._busy = True
        self._held_back = False
        self._code: int | None = None
        self._context: contextvars.Context | None = None
        # Kept, because on Python 3.11 asking for the running loop costs a system call.
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._grace: Grace | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a handler runs or a message waits for it."""
        return self._busy

    def begin(self, context: contextvars.Context) -> None:
        """Take the first turn; handlers run in `context` from now on."""
        self._context = context
        self._busy = False
        if self.inbox:
            self._busy = True
            self._work_on()

    def offer(self, message: str | bytes) -> bool:
        """Handle a message now, or queue it. Returns False when the socket should not be read for a while."""
        if not self._busy:
            self._busy = True
            assert self._handler is not None  # released when nothing waits any more
            try:
                awaitable = self._handler.handle(message)
            except Exception:
                logger.exception(_DEFECT, self._name)
                awaitable = None
            if awaitable is None:
                self._rest()
            elif (parked := self._parked) is not None and not parked.done():
                self._parked = None
                self._task = self._worker
                parked.set_result(awaitable)
            else:
                # None waits, or its task was cancelled in this pass.
                self._work_on(awaitable)
            return True
        inbox = self._new_inbox() if self.inbox is None else self.inbox
        inbox.put(message)
        # What was on its way when the reading stopped still comes, so this must not forget that it has stopped.
        self._held_back = self._held_back or inbox.is_full
        return not self._held_back

    @property
    def _takes_dispatches(self) -> bool:
        return self._handler is not None and self._code is None

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._code is None and (parked := self._parked) is not None and not parked.done():
            self._parked = None
            self._task = self._worker
            parked.set_result(_pass())
        else:
            self._resume()

    def end(self, code: int, *, clean_up: bool) -> None:
        """Finish: the connection has ended with `code`. Called once; `clean_up` says whether `closed` is to run."""
        self._code = code
        self._drop_dispatches()
        if not clean_up:
            self._handler = None
        if not self._busy:
            self._close()
        else:
            self._limit_grace()
        # Without a task `connect` still runs; whoever runs it cancels it and calls `begin` or `abandon`.

    def abandon(self) -> None:
        """Know that `connect` will not return: there is no first turn."""
        self._busy = False
        if self._code is not None:
            self._close()

    def _start(self, message: str | bytes | None) -> Awaitable[None] | None:
        assert self._handler is not None  # released when nothing waits any more
        try:
            if message is not None:
                return self._handler.handle(message)
            item = None if self._dispatches is None else self._dispatches.take()
            return None if item is None else self._handler.dispatched(item)
        except Exception:
            logger.exception(_DEFECT, self._name)
            return None

    def _work_on(self, first: Awaitable[None] | None = None) -> None:
        self._spawn(self._work(first))
        if self._code is not None:
            self._limit_grace()

    def _limit_grace(self) -> None:
        # A handler may have ended its own connection before it first waited, when there was no task to limit.
        if self._task is not None:
            self._grace = Grace(
                self._name,
                self._task,
                limits=self._limits,
                counters=self._counters,
                drop=self._drop,
                give_up=self._close,
            )

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        # An eager task runs until it first waits, so that a handler which does not wait costs no pass of the loop.
        if _EAGER:
            task = asyncio.Task(  # type: ignore[call-arg,unused-ignore] # parameter of 3.12
                coroutine, loop=self._loop, name=self._name, context=self._context, eager_start=True
            )
            if task.done():
                return
        else:
            task = asyncio.Task(coroutine, loop=self._loop, name=self._name, context=self._context)
        self._task = task

    # One coroutine and not three, because each layer more would take its time from every message.
    async def _work(self, first: Awaitable[None] | None) -> None:  # noqa: PLR0912 -- as above
        worker, parking = self._task, self._parking
        if parking is not None:
            parking.add(self)
        try:
            while True:
                try:
                    if first is not None:
                        try:
                            await first
                        except Exception:
                            logger.exception(_DEFECT, self._name)
                    while self.inbox:
                        message = self.inbox.take()
                        if self._held_back and self.inbox.has_room:
                            self._held_back = False
                            self._read_on()
                        awaitable = self._start(message)
                        if awaitable is not None:
                            await self._turn(awaitable)
                finally:
                    self._task = None
                    self._rest()
                if parking is None or self._busy:
                    return
                self._worker = worker
                self._was_busy = True
                self._parked = parked = self._loop.create_future()
                try:
                    first = await parked
                except asyncio.CancelledError:
                    self._disturbed(parked)
                    raise
                if first is None:
                    return
        finally:
            if parking is not None:
                parking.discard(self)

    def unpark_if_idle(self) -> None:
        """End the task that waits for a message, unless there was one since the last call."""
        if not self._was_busy:
            self._unpark()
        self._was_busy = False

    def _unpark(self) -> None:
        if (parked := self._parked) is not None:
            self._parked = self._worker = None
            if not parked.done():
                parked.set_result(None)

    def _disturbed(self, parked: asyncio.Future[Awaitable[None] | None]) -> None:
        """Know that the task was cancelled while it waited, by a handler or by whoever stops the loop."""
        if self._parked is parked:
            self._parked = self._worker = None
        elif not parked.cancelled() and (first := parked.result()) is not None:
            # A message came in the same pass, and another task handles it.
            if self._grace is not None:
                self._grace.stop()
            self._work_on(first)

    async def _turn(self, awaitable: Awaitable[None]) -> None:
        try:
            await awaitable
        except Exception:
            logger.exception(_DEFECT, self._name)

    def _rest(self) -> None:
        if self._grace is not None:
            self._grace.stop()
            self._grace = None
        if self._code is None and not self.inbox:
            self._dispatches = None
            self.inbox: Inbox | None = None
            self._busy = False
        else:
            # Called from within the connection's context, which the next task must enter anew.
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self._code is None or (self.inbox and self.inbox.messages and self._handler is not None):
            self._work_on()
        else:
            self._busy = False
            self._close()

    def _drop(self) -> None:
        if dropped := self._drop_messages():
            logger.warning(
                "connection %s: %d messages dropped; the handler did not finish within %s s of the end",
                self._name,
                dropped,
                self._limits.handler_grace_s,
            )

    def _close(self) -> None:
        self._unpark()
        handler, self._handler = self._handler, None
        ended, self._ended = self._ended, _nothing
        code = self._code
        self._drop_messages()
        if handler is None or code is None:
            ended()
            return
        self._busy = True  # whatever comes now is not handled
        try:
            awaitable = handler.closed(code)
        except Exception:
            logger.exception(_DEFECT, self._name)
            awaitable = None
        if awaitable is None:
            ended()
        else:
            self._spawn(self._clean_up(awaitable, ended))

    async def _clean_up(self, awaitable: Awaitable[None], ended: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._limits.disconnect_timeout_s):
                await self._turn(awaitable)
        except TimeoutError:
            logger.error(  # noqa: TRY400 -- where it was stuck is in the consumer's own code
                "connection %s: disconnect did not end within %s s",
                self._name,
                self._limits.disconnect_timeout_s,
            )
        finally:
            self._task = None
            ended()


async def _pass() -> None:
    """Stand in for a handler, where a task that waits for one is to look at the inbox."""


def _nothing() -> None:
    """Stand in for a callback that has been called."""
