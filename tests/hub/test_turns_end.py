"""Turns: the end, in whatever state the handler is."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.dispatched import Dispatched
from roomful.core.envelope import Envelope, Form
from roomful.core.names import RoomName
from roomful.core.positions import Position
from tests.clock import after, now, passes
from tests.hub.turning import TurnsScene


async def test_end_of_an_idle_connection_cleans_up_once(turning: TurnsScene) -> None:
    """`closed` runs with the code, then `ended` is called."""
    turning.begin()
    turning.turns.offer("a")
    await passes(3)

    turning.turns.end(1001, clean_up=True)

    assert turning.handler.seen == ["a", ("closed", 1001)]
    assert turning.log == ["ended"]


async def test_end_waits_for_the_clean_up(turning: TurnsScene) -> None:
    """`ended` is called when the clean-up is done, and not before."""
    gate = asyncio.Event()

    async def clean_up() -> None:
        await gate.wait()

    turning.handler.on_close = clean_up
    turning.begin()
    turning.turns.end(1001, clean_up=True)
    await passes(3)
    assert turning.log == []

    gate.set()
    await passes(2)

    assert turning.log == ["ended"]


async def test_clean_up_that_raises_still_ends(turning: TurnsScene, caplog: pytest.LogCaptureFixture) -> None:
    """An error in the clean-up, at once or later, is logged and keeps nothing alive."""
    turning.handler.close_raises = ValueError("at once")
    turning.begin()
    turning.turns.end(1000, clean_up=True)
    assert turning.log == ["ended"]

    async def clean_up() -> None:
        raise ValueError("later")

    second = TurnsScene()
    second.handler.on_close = clean_up
    second.begin()
    second.turns.end(1000, clean_up=True)
    await passes(2)

    assert second.log == ["ended"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_clean_up_that_is_cancelled_still_ends(turning: TurnsScene) -> None:
    """Whatever becomes of the clean-up, `ended` is called."""

    async def clean_up() -> None:
        raise asyncio.CancelledError

    turning.handler.on_close = clean_up
    turning.begin()
    turning.turns.end(1000, clean_up=True)
    await passes(2)

    assert turning.log == ["ended"]


async def test_clean_up_that_does_not_end_is_cancelled(
    turning: TurnsScene, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of a connection stays for ever because its `disconnect` hangs."""
    cancelled: list[bool] = []

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    turning.handler.on_close = clean_up
    turning.begin()
    turning.turns.end(1006, clean_up=True)
    await after(9.9)
    assert turning.log == []

    await after(0.2)

    assert (turning.log, cancelled) == (["ended"], [True])
    assert "disconnect did not end within 10" in caplog.text


async def test_what_came_between_a_dispatch_and_the_end_is_handled(turning: TurnsScene) -> None:
    """A dispatch waits for the next pass of the loop, and a message and the close frame may come in this one."""
    turning.begin()
    envelope = Envelope(Form.TEXT, b"dispatched")
    turning.turns.dispatch(Dispatched(RoomName("g"), Position("e", 1), envelope), note=True)
    turning.turns.offer("a")
    turning.turns.end(1000, clean_up=True)
    await passes(5)
    assert (turning.handler.finished, turning.log) == (["a"], ["ended"])
    assert turning.counters.unhandled == 0


async def test_what_was_received_is_handled_before_the_clean_up(turning: TurnsScene) -> None:
    """Messages that came before the end are handled within the grace time, then the clean-up runs."""
    gate = turning.block()
    turning.begin()
    for message in ("a", "b", "c"):
        turning.turns.offer(message)
    turning.turns.end(1006, clean_up=True)
    await after(1.9)
    assert turning.log == []

    gate.set()
    await passes(3)

    assert turning.handler.seen == ["a", "b", "c", ("closed", 1006)]
    assert turning.log == ["ended"]
    assert turning.counters.unhandled == 0


async def test_handler_that_outlives_its_grace_is_cancelled(
    turning: TurnsScene, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace time the handler is cancelled, what waits is dropped, counted and told, and the clean-up runs."""
    turning.block()
    turning.begin()
    for message in ("a", "b", "c"):
        turning.turns.offer(message)
    turning.turns.end(1006, clean_up=True)

    await after(2.1)

    assert turning.handler.seen == ["a", ("closed", 1006)]
    assert turning.handler.finished == []
    assert turning.log == ["ended"]
    assert (turning.counters.unhandled, turning.counters.stuck_handlers) == (2, 0)
    assert "2 messages dropped" in caplog.text


async def test_handler_may_finish_its_work_when_it_is_cancelled(turning: TurnsScene) -> None:
    """The clean-up waits for a handler that takes its time to be cancelled."""
    done: list[float] = []

    async def handle() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            done.append(now())

    turning.handler.does = {"a": handle}
    turning.begin()
    turning.turns.offer("a")
    turning.turns.end(1006, clean_up=True)
    await after(4.9)
    assert turning.log == []

    await after(0.2)

    assert done == [pytest.approx(5)]
    assert turning.log == ["ended"]
    assert turning.counters.unhandled == 0


async def test_handler_that_ignores_its_cancellation_is_given_up_and_counted(
    turning: TurnsScene, caplog: pytest.LogCaptureFixture
) -> None:
    """The clean-up runs beside a handler that will not end, once; the handler is counted until it ends."""
    gate = asyncio.Event()

    async def handle() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    turning.handler.does = {"a": handle}
    turning.begin()
    turning.turns.offer("a")
    turning.turns.end(1006, clean_up=True)
    await after(6.9)
    assert turning.log == []

    await after(0.2)

    assert turning.handler.seen == ["a", ("closed", 1006)]
    assert turning.log == ["ended"]
    assert turning.counters.stuck_handlers == 1
    assert "handler ignores its cancellation" in caplog.text

    gate.set()
    await passes(4)
    assert turning.counters.stuck_handlers == 0
    assert turning.handler.seen == ["a", ("closed", 1006)]
    assert turning.log == ["ended"]


async def test_without_clean_up_nothing_of_the_handler_runs(turning: TurnsScene) -> None:
    """A connection that was never accepted has no `disconnect`."""
    turning.begin()
    turning.turns.end(1006, clean_up=False)

    assert turning.handler.seen == []
    assert turning.log == ["ended"]


async def test_end_while_connect_runs_waits_for_it(turning: TurnsScene) -> None:
    """The clean-up never runs beside `connect`."""
    turning.turns.offer("a")
    turning.turns.end(1006, clean_up=True)
    await after(100)
    assert turning.log == []

    turning.turns.abandon()

    assert turning.handler.seen == [("closed", 1006)]
    assert turning.log == ["ended"]
    assert turning.counters.unhandled == 1


async def test_connect_that_was_given_up_ends_with_its_connection(turning: TurnsScene) -> None:
    """After a refused `connect` the end of the socket ends everything; what was received is counted."""
    turning.turns.offer("a")
    turning.turns.abandon()
    assert turning.log == []

    turning.turns.end(4501, clean_up=True)

    assert turning.handler.seen == [("closed", 4501)]
    assert turning.log == ["ended"]
    assert turning.counters.unhandled == 1


@pytest.mark.parametrize("is_plain", [True, False])
async def test_handler_that_ends_its_own_connection_gets_its_grace(
    turning: TurnsScene, is_plain: bool
) -> None:
    """The end may come from within a handler before it first waits; it is limited and cleaned up like any other."""
    handle = turning.handler.handle
    turning.block()
    turning.handler.is_plain = is_plain

    def end_and_handle(message: str | bytes) -> object:
        turning.turns.end(1006, clean_up=True)
        return handle(message)

    turning.handler.handle = end_and_handle  # type: ignore[method-assign,assignment] # a handler like any other
    turning.begin()
    turning.turns.offer("a")

    await after(2.1)

    assert turning.handler.seen == ["a", ("closed", 1006)]
    assert turning.log == ["ended"]


async def test_coroutine_that_ends_its_own_connection_gets_its_grace(turning: TurnsScene) -> None:
    """The same from within the handler's coroutine, which may run before its task is known."""

    async def handle() -> None:
        turning.turns.end(1006, clean_up=True)
        await asyncio.Event().wait()

    turning.handler.does = {"a": handle}
    turning.begin()
    turning.turns.offer("a")

    await after(2.1)

    assert turning.handler.seen == ["a", ("closed", 1006)]
    assert turning.log == ["ended"]


async def test_coroutine_that_ends_its_own_connection_and_returns(turning: TurnsScene) -> None:
    """A handler that ends its connection and is done leaves nothing to wait for."""

    async def handle() -> None:
        turning.turns.end(1000, clean_up=True)

    turning.handler.does = {"a": handle}
    turning.begin()
    turning.turns.offer("a")

    await passes(3)

    assert turning.handler.seen == ["a", ("closed", 1000)]
    assert turning.log == ["ended"]
