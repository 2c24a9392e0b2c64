"""Turns: one message at a time, in order; the clean-up once; nothing left behind."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import AsyncGenerator

import pytest

from roomful.core.limits import Limits
from roomful.core.names import ConnectionId
from roomful.hub.statistics import Counters
from roomful.hub.turns import Turns
from tests.clock import VirtualLoop, after, now, other_tasks, passes
from tests.fakes import FakeHandler

LIMITS = Limits(max_inbox_messages=8, max_inbox_bytes=1000, handler_grace_s=2, cancel_timeout_s=5)


class Scene:
    """Turns of one fake handler; `log` has what they told to the outside."""

    def __init__(self) -> None:
        self.handler = FakeHandler()
        self.counters = Counters()
        self.log: list[str] = []
        self.turns = Turns(
            ConnectionId("c"),
            self.handler,
            limits=LIMITS,
            counters=self.counters,
            read_on=lambda: self.log.append("read on"),
            ended=lambda: self.log.append("ended"),
        )

    def begin(self) -> None:
        self.turns.begin(contextvars.copy_context())

    def block(self) -> asyncio.Event:
        """Let handlers wait for what is returned."""
        self.handler.gate = asyncio.Event()
        return self.handler.gate

    async def let_one_finish(self) -> None:
        """Open the gate for the handler that waits at it, and for no other."""
        assert self.handler.gate is not None
        await passes()
        finished = len(self.handler.finished)
        self.handler.gate.set()
        self.handler.gate.clear()
        await passes(2)
        assert len(self.handler.finished) == finished + 1


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    """Give a scene, and see to it that it leaves no task and no timer behind."""
    scene = Scene()
    yield scene
    await passes(3)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert other_tasks() == set()
    assert loop.timers == []


async def test_messages_are_handled_in_order_one_at_a_time(scene: Scene) -> None:
    """The next message is not seen before the handler of the last one is done."""
    gate = scene.block()
    scene.begin()
    for message in ("a", b"b", "c"):
        assert scene.turns.offer(message) is True
    await passes(3)
    assert scene.handler.seen == ["a"]

    gate.set()
    await passes(3)

    assert scene.handler.finished == ["a", b"b", "c"]
    assert scene.log == []


async def test_messages_before_connect_has_returned_wait(scene: Scene) -> None:
    """What comes while `connect` runs is handled after it, in order."""
    scene.turns.offer("a")
    scene.turns.offer("b")
    await passes(3)
    assert scene.handler.seen == []

    scene.begin()
    await passes(3)

    assert scene.handler.finished == ["a", "b"]


async def test_handler_that_is_done_at_once_makes_no_task(scene: Scene) -> None:
    """A handler that returns None has handled its message; nothing runs for it."""
    scene.handler.is_plain = True
    scene.begin()

    assert [scene.turns.offer(m) for m in ("a", "b")] == [True, True]

    assert scene.handler.seen == ["a", "b"]
    assert other_tasks() == set()


async def test_plain_handlers_work_through_a_backlog(scene: Scene) -> None:
    """What waited for `connect` is also handled by a handler that never waits."""
    scene.handler.is_plain = True
    scene.turns.offer("a")
    scene.turns.offer("b")

    scene.begin()
    await passes(2)

    assert scene.handler.seen == ["a", "b"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from Python 3.12 on")
async def test_handler_that_does_not_wait_is_done_when_offer_returns(scene: Scene) -> None:
    """From Python 3.12 on a handler runs at once until it first waits."""
    scene.begin()

    scene.turns.offer("a")

    assert scene.handler.finished == ["a"]
    assert other_tasks() == set()


async def test_handlers_run_in_the_context_of_connect(scene: Scene) -> None:
    """Context variables that `connect` has set are there in each handler, and a handler's own changes last."""
    variable: contextvars.ContextVar[list[str]] = contextvars.ContextVar("variable")
    got: list[object] = []

    async def handle() -> None:
        got.append(variable.get())
        variable.set([*variable.get(), "again"])

    scene.handler.does = {"a": handle, "b": handle, "c": handle}
    context = contextvars.copy_context()
    context.run(variable.set, ["connect"])
    scene.turns.begin(context)

    scene.turns.offer("a")
    scene.turns.offer("b")
    await passes(3)
    scene.turns.offer("c")
    await passes(3)

    assert got == [["connect"], ["connect", "again"], ["connect", "again", "again"]]


async def test_timeouts_and_task_groups_work_in_a_handler(scene: Scene) -> None:
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

    scene.handler.does = {"a": handle}
    scene.begin()
    scene.turns.offer("a")
    await after(3)

    assert got == ["timed out", "grouped"]


async def test_error_that_escapes_a_handler_is_logged_and_the_next_message_follows(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """An adapter's defect ends neither the turns nor the connection, whether it comes at once or later."""

    async def fail() -> None:
        raise ValueError("later")

    scene.handler.does = {"raise later": fail}
    scene.begin()

    for message in ("raise at once", "raise later", "a", "raise at once", "b"):
        scene.turns.offer(message)
        scene.turns.offer(message)
        await passes(3)

    assert scene.handler.finished == ["a", "a", "b", "b"]
    assert [record.getMessage() for record in caplog.records] == [
        "connection c: handler raised outside its turn"
    ] * 6


async def test_handler_that_raises_cancelled_ends_its_own_turn_alone(scene: Scene) -> None:
    """A handler may be cancelled by its own doing; the messages behind it are still handled."""

    async def cancel() -> None:
        raise asyncio.CancelledError

    gate = scene.block()
    scene.handler.does = {"cancel": cancel}
    scene.begin()
    for message in ("cancel", "a", "cancel"):
        scene.turns.offer(message)
    gate.set()
    await passes(5)
    scene.turns.offer("b")
    await passes(3)

    assert scene.handler.finished == ["a", "b"]


async def test_message_that_arises_within_a_handler_waits_its_turn(scene: Scene) -> None:
    """Also a handler that is done at once is not entered a second time by what it causes."""
    scene.handler.is_plain = True
    handle = scene.handler.handle

    def reenter(message: str | bytes) -> None:
        scene.log.append(f"in {message!r}")
        handle(message)
        if message == "a":
            scene.turns.offer("b")
        scene.log.append(f"out {message!r}")

    scene.handler.handle = reenter  # type: ignore[method-assign] # a handler like any other
    scene.begin()
    scene.turns.offer("a")
    await passes(2)

    assert scene.log == ["in 'a'", "out 'a'", "in 'b'", "out 'b'"]


# ── Backpressure ──


async def test_full_inbox_stops_the_reading_until_half_is_free(scene: Scene) -> None:
    """The socket is held back when the inbox is full, and read on once half of it is free; nothing is lost."""
    gate = scene.block()
    scene.begin()
    messages = [str(i) for i in range(9)]
    assert [scene.turns.offer(m) for m in messages] == [True] * 8 + [False]

    for handled in range(1, 6):
        await scene.let_one_finish()
        assert scene.log == (["read on"] if handled >= 4 else [])
    gate.set()
    await passes(3)

    assert scene.handler.finished == messages
    assert scene.log == ["read on"]


async def test_inbox_is_full_by_bytes_too(scene: Scene) -> None:
    """A few large messages hold the socket back like many small ones."""
    gate = scene.block()
    scene.begin()

    assert [scene.turns.offer("x" * 600) for _ in range(3)] == [True, True, False]

    gate.set()
    await passes(3)
    assert scene.log == ["read on"]


async def test_message_that_was_on_its_way_does_not_leave_the_socket_unread(scene: Scene) -> None:
    """A message that still comes after the reading has stopped must not make it forgotten that it has."""
    gate = scene.block()
    scene.begin()
    for number in range(9):
        scene.turns.offer(str(number))
    for _ in range(2):
        await scene.let_one_finish()
    assert scene.log == []

    assert scene.turns.offer("late") is False
    gate.set()
    await passes(3)

    assert scene.handler.finished[-1] == "late"
    assert scene.log == ["read on"]


# ── The end ──


async def test_end_of_an_idle_connection_cleans_up_once(scene: Scene) -> None:
    """`closed` runs with the code, then `ended` is called."""
    scene.begin()
    scene.turns.offer("a")
    await passes(3)

    scene.turns.end(1001, clean_up=True)

    assert scene.handler.seen == ["a", ("closed", 1001)]
    assert scene.log == ["ended"]


async def test_end_waits_for_the_clean_up(scene: Scene) -> None:
    """`ended` is called when the clean-up is done, and not before."""
    gate = asyncio.Event()

    async def clean_up() -> None:
        await gate.wait()

    scene.handler.on_close = clean_up
    scene.begin()
    scene.turns.end(1001, clean_up=True)
    await passes(3)
    assert scene.log == []

    gate.set()
    await passes(2)

    assert scene.log == ["ended"]


async def test_clean_up_that_raises_still_ends(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """An error in the clean-up, at once or later, is logged and keeps nothing alive."""
    scene.handler.close_raises = ValueError("at once")
    scene.begin()
    scene.turns.end(1000, clean_up=True)
    assert scene.log == ["ended"]

    async def clean_up() -> None:
        raise ValueError("later")

    second = Scene()
    second.handler.on_close = clean_up
    second.begin()
    second.turns.end(1000, clean_up=True)
    await passes(2)

    assert second.log == ["ended"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_clean_up_that_is_cancelled_still_ends(scene: Scene) -> None:
    """Whatever becomes of the clean-up, `ended` is called."""

    async def clean_up() -> None:
        raise asyncio.CancelledError

    scene.handler.on_close = clean_up
    scene.begin()
    scene.turns.end(1000, clean_up=True)
    await passes(2)

    assert scene.log == ["ended"]


async def test_what_was_received_is_handled_before_the_clean_up(scene: Scene) -> None:
    """Messages that came before the end are handled within the grace time, then the clean-up runs."""
    gate = scene.block()
    scene.begin()
    for message in ("a", "b", "c"):
        scene.turns.offer(message)
    scene.turns.end(1006, clean_up=True)
    await after(1.9)
    assert scene.log == []

    gate.set()
    await passes(3)

    assert scene.handler.seen == ["a", "b", "c", ("closed", 1006)]
    assert scene.log == ["ended"]
    assert scene.counters.unhandled == 0


async def test_handler_that_outlives_its_grace_is_cancelled(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace time the handler is cancelled, what waits is dropped, counted and told, and the clean-up runs."""
    scene.block()
    scene.begin()
    for message in ("a", "b", "c"):
        scene.turns.offer(message)
    scene.turns.end(1006, clean_up=True)

    await after(2.1)

    assert scene.handler.seen == ["a", ("closed", 1006)]
    assert scene.handler.finished == []
    assert scene.log == ["ended"]
    assert (scene.counters.unhandled, scene.counters.stuck_handlers) == (2, 0)
    assert "2 messages dropped" in caplog.text


async def test_handler_may_finish_its_work_when_it_is_cancelled(scene: Scene) -> None:
    """The clean-up waits for a handler that takes its time to be cancelled."""
    done: list[float] = []

    async def handle() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            done.append(now())

    scene.handler.does = {"a": handle}
    scene.begin()
    scene.turns.offer("a")
    scene.turns.end(1006, clean_up=True)
    await after(4.9)
    assert scene.log == []

    await after(0.2)

    assert done == [pytest.approx(5)]
    assert scene.log == ["ended"]
    assert scene.counters.unhandled == 0


async def test_handler_that_ignores_its_cancellation_is_given_up_and_counted(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """The clean-up runs beside a handler that will not end, once; the handler is counted until it ends."""
    gate = asyncio.Event()

    async def handle() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    scene.handler.does = {"a": handle}
    scene.begin()
    scene.turns.offer("a")
    scene.turns.end(1006, clean_up=True)
    await after(6.9)
    assert scene.log == []

    await after(0.2)

    assert scene.handler.seen == ["a", ("closed", 1006)]
    assert scene.log == ["ended"]
    assert scene.counters.stuck_handlers == 1
    assert "handler ignores its cancellation" in caplog.text

    gate.set()
    await passes(4)
    assert scene.counters.stuck_handlers == 0
    assert scene.handler.seen == ["a", ("closed", 1006)]
    assert scene.log == ["ended"]


async def test_without_clean_up_nothing_of_the_handler_runs(scene: Scene) -> None:
    """A connection that was never accepted has no `disconnect`."""
    scene.begin()
    scene.turns.end(1006, clean_up=False)

    assert scene.handler.seen == []
    assert scene.log == ["ended"]


async def test_end_while_connect_runs_waits_for_it(scene: Scene) -> None:
    """The clean-up never runs beside `connect`."""
    scene.turns.offer("a")
    scene.turns.end(1006, clean_up=True)
    await after(100)
    assert scene.log == []

    scene.turns.abandon()

    assert scene.handler.seen == [("closed", 1006)]
    assert scene.log == ["ended"]
    assert scene.counters.unhandled == 1


async def test_connect_that_was_given_up_ends_with_its_connection(scene: Scene) -> None:
    """After a refused `connect` the end of the socket ends everything; what was received is counted."""
    scene.turns.offer("a")
    scene.turns.abandon()
    assert scene.log == []

    scene.turns.end(4501, clean_up=True)

    assert scene.handler.seen == [("closed", 4501)]
    assert scene.log == ["ended"]
    assert scene.counters.unhandled == 1


@pytest.mark.parametrize("is_plain", [True, False])
async def test_handler_that_ends_its_own_connection_gets_its_grace(scene: Scene, is_plain: bool) -> None:
    """The end may come from within a handler before it first waits; it is limited and cleaned up like any other."""
    handle = scene.handler.handle
    scene.block()
    scene.handler.is_plain = is_plain

    def end_and_handle(message: str | bytes) -> object:
        scene.turns.end(1006, clean_up=True)
        return handle(message)

    scene.handler.handle = end_and_handle  # type: ignore[method-assign,assignment] # a handler like any other
    scene.begin()
    scene.turns.offer("a")

    await after(2.1)

    assert scene.handler.seen == ["a", ("closed", 1006)]
    assert scene.log == ["ended"]


async def test_coroutine_that_ends_its_own_connection_gets_its_grace(scene: Scene) -> None:
    """The same from within the handler's coroutine, which may run before its task is known."""

    async def handle() -> None:
        scene.turns.end(1006, clean_up=True)
        await asyncio.Event().wait()

    scene.handler.does = {"a": handle}
    scene.begin()
    scene.turns.offer("a")

    await after(2.1)

    assert scene.handler.seen == ["a", ("closed", 1006)]
    assert scene.log == ["ended"]


async def test_coroutine_that_ends_its_own_connection_and_returns(scene: Scene) -> None:
    """A handler that ends its connection and is done leaves nothing to wait for."""

    async def handle() -> None:
        scene.turns.end(1000, clean_up=True)

    scene.handler.does = {"a": handle}
    scene.begin()
    scene.turns.offer("a")

    await passes(3)

    assert scene.handler.seen == ["a", ("closed", 1000)]
    assert scene.log == ["ended"]
