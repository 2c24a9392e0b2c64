"""Turns: one message at a time, in order; the clean-up once; nothing left behind."""

from __future__ import annotations

import asyncio
import contextvars
import sys

import pytest

from tests.clock import after, other_tasks, passes
from tests.hub.turning import TurnsScene


async def test_messages_are_handled_in_order_one_at_a_time(turning: TurnsScene) -> None:
    """The next message is not seen before the handler of the last one is done."""
    gate = turning.block()
    turning.begin()
    for message in ("a", b"b", "c"):
        assert turning.turns.offer(message) is True
    await passes(3)
    assert turning.handler.seen == ["a"]

    gate.set()
    await passes(3)

    assert turning.handler.finished == ["a", b"b", "c"]
    assert turning.log == []


async def test_messages_before_connect_has_returned_wait(turning: TurnsScene) -> None:
    """What comes while `connect` runs is handled after it, in order."""
    turning.turns.offer("a")
    turning.turns.offer("b")
    await passes(3)
    assert turning.handler.seen == []

    turning.begin()
    await passes(3)

    assert turning.handler.finished == ["a", "b"]


async def test_handler_that_is_done_at_once_makes_no_task(turning: TurnsScene) -> None:
    """A handler that returns None has handled its message; nothing runs for it."""
    turning.handler.is_plain = True
    turning.begin()

    assert [turning.turns.offer(m) for m in ("a", "b")] == [True, True]

    assert turning.handler.seen == ["a", "b"]
    assert other_tasks() == set()


async def test_plain_handlers_work_through_a_backlog(turning: TurnsScene) -> None:
    """What waited for `connect` is also handled by a handler that never waits."""
    turning.handler.is_plain = True
    turning.turns.offer("a")
    turning.turns.offer("b")

    turning.begin()
    await passes(2)

    assert turning.handler.seen == ["a", "b"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from Python 3.12 on")
async def test_handler_that_does_not_wait_is_done_when_offer_returns(turning: TurnsScene) -> None:
    """From Python 3.12 on a handler runs at once until it first waits."""
    turning.begin()

    turning.turns.offer("a")

    assert turning.handler.finished == ["a"]
    assert other_tasks() == set()


async def test_handlers_run_in_the_context_of_connect(turning: TurnsScene) -> None:
    """Context variables that `connect` has set are there in each handler, and a handler's own changes last."""
    variable: contextvars.ContextVar[list[str]] = contextvars.ContextVar("variable")
    got: list[object] = []

    async def handle() -> None:
        got.append(variable.get())
        variable.set([*variable.get(), "again"])

    turning.handler.does = {"a": handle, "b": handle, "c": handle}
    context = contextvars.copy_context()
    context.run(variable.set, ["connect"])
    turning.turns.begin(context)

    turning.turns.offer("a")
    turning.turns.offer("b")
    await passes(3)
    turning.turns.offer("c")
    await passes(3)

    assert got == [["connect"], ["connect", "again"], ["connect", "again", "again"]]


async def test_timeouts_and_task_groups_work_in_a_handler(turning: TurnsScene) -> None:
    """A handler runs in a real task, so what needs one works."""
    got: list[str] = []

    async def handle() -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.Event().wait()
        except TimeoutError:
            got.append("timed out")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
        got.append("grouped")

    turning.handler.does = {"a": handle}
    turning.begin()
    turning.turns.offer("a")
    await after(3)

    assert got == ["timed out", "grouped"]


async def test_error_that_escapes_a_handler_is_logged_and_the_next_message_follows(
    turning: TurnsScene, caplog: pytest.LogCaptureFixture
) -> None:
    """An adapter's defect ends neither the turns nor the connection, whether it comes at once or later."""

    async def fail() -> None:
        raise ValueError("later")

    turning.handler.does = {"raise later": fail}
    turning.begin()

    for message in ("raise at once", "raise later", "a", "raise at once", "b"):
        turning.turns.offer(message)
        turning.turns.offer(message)
        await passes(3)

    assert turning.handler.finished == ["a", "a", "b", "b"]
    assert [record.getMessage() for record in caplog.records] == [
        "connection c: handler raised outside its turn"
    ] * 6


async def test_handler_that_raises_cancelled_ends_its_own_turn_alone(turning: TurnsScene) -> None:
    """A handler may be cancelled by its own doing; the messages behind it are still handled."""

    async def cancel() -> None:
        raise asyncio.CancelledError

    gate = turning.block()
    turning.handler.does = {"cancel": cancel}
    turning.begin()
    for message in ("cancel", "a", "cancel"):
        turning.turns.offer(message)
    gate.set()
    await passes(5)
    turning.turns.offer("b")
    await passes(3)

    assert turning.handler.finished == ["a", "b"]


async def test_message_that_arises_within_a_handler_waits_its_turn(turning: TurnsScene) -> None:
    """Also a handler that is done at once is not entered a second time by what it causes."""
    turning.handler.is_plain = True
    handle = turning.handler.handle

    def reenter(message: str | bytes) -> None:
        turning.log.append(f"in {message!r}")
        handle(message)
        if message == "a":
            turning.turns.offer("b")
        turning.log.append(f"out {message!r}")

    turning.handler.handle = reenter  # type: ignore[method-assign] # a handler like any other
    turning.begin()
    turning.turns.offer("a")
    await passes(2)

    assert turning.log == ["in 'a'", "out 'a'", "in 'b'", "out 'b'"]


# ── Backpressure ──


async def test_full_inbox_stops_the_reading_until_half_is_free(turning: TurnsScene) -> None:
    """The socket is held back when the inbox is full, and read on once half of it is free; nothing is lost."""
    gate = turning.block()
    turning.begin()
    messages = [str(i) for i in range(9)]
    assert [turning.turns.offer(m) for m in messages] == [True] * 8 + [False]

    for handled in range(1, 6):
        await turning.let_one_finish()
        assert turning.log == (["read on"] if handled >= 4 else [])
    gate.set()
    await passes(3)

    assert turning.handler.finished == messages
    assert turning.log == ["read on"]


async def test_inbox_is_full_by_bytes_too(turning: TurnsScene) -> None:
    """A few large messages hold the socket back like many small ones."""
    gate = turning.block()
    turning.begin()

    assert [turning.turns.offer("x" * 600) for _ in range(3)] == [True, True, False]

    gate.set()
    await passes(3)
    assert turning.log == ["read on"]


async def test_message_that_was_on_its_way_does_not_leave_the_socket_unread(turning: TurnsScene) -> None:
    """A message that still comes after the reading has stopped must not make it forgotten that it has."""
    gate = turning.block()
    turning.begin()
    for number in range(9):
        turning.turns.offer(str(number))
    for _ in range(2):
        await turning.let_one_finish()
    assert turning.log == []

    assert turning.turns.offer("late") is False
    gate.set()
    await passes(3)

    assert turning.handler.finished[-1] == "late"
    assert turning.log == ["read on"]
