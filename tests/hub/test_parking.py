"""Parking: a task serves one message after another, and a silent connection owns none."""

from __future__ import annotations

import asyncio
import contextvars
import sys

import pytest

from roomful.core.dispatched import Dispatched
from roomful.core.envelope import Envelope, Form
from roomful.core.names import RoomName
from roomful.core.positions import Position
from roomful.hub.parking import TICK_S, Parking
from tests.clock import VirtualLoop, after, other_tasks, passes
from tests.hub.turning import TurnsScene

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="tasks are eager, and none is parked")


@pytest.fixture
async def turning() -> TurnsScene:
    scene = TurnsScene(Parking())
    scene.begin()
    return scene


def watch_tasks(turning: TurnsScene, *messages: str) -> list[asyncio.Task[object] | None]:
    """Return a list that gets the task of each of these messages."""
    tasks: list[asyncio.Task[object] | None] = []

    async def note() -> None:
        tasks.append(asyncio.current_task())

    turning.handler.does = dict.fromkeys(messages, note)
    return tasks


def timers() -> list[asyncio.TimerHandle]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.timers


async def test_messages_one_after_another_share_a_task(turning: TurnsScene) -> None:
    tasks = watch_tasks(turning, "a", "b", "c")
    for message in ("a", "b", "c"):
        turning.turns.offer(message)
        await passes(2)
        assert turning.handler.finished[-1] == message
    assert len(tasks) == 3
    assert len(set(tasks)) == 1
    turning.turns.end(1000, clean_up=True)
    await passes(2)


async def test_connection_that_is_silent_owns_no_task(turning: TurnsScene) -> None:
    turning.turns.offer("a")
    await passes(2)
    assert len(other_tasks()) == 1
    await after(2.5 * TICK_S)
    assert other_tasks() == set()
    assert timers() == []


async def test_connection_that_is_not_silent_keeps_its_task(turning: TurnsScene) -> None:
    tasks = watch_tasks(turning, "a")
    for _ in range(8):
        turning.turns.offer("a")
        await after(0.6 * TICK_S)
    assert len(tasks) == 8
    assert len(set(tasks)) == 1
    await after(2.5 * TICK_S)
    assert other_tasks() == set()


async def test_message_after_a_silence_gets_a_new_task(turning: TurnsScene) -> None:
    tasks = watch_tasks(turning, "a")
    turning.turns.offer("a")
    await after(2.5 * TICK_S)
    turning.turns.offer("a")
    await passes(2)
    assert len(set(tasks)) == 2
    turning.turns.end(1000, clean_up=True)
    await passes(2)


async def test_end_of_the_connection_ends_the_task_at_once(turning: TurnsScene) -> None:
    turning.turns.offer("a")
    await passes(2)
    turning.turns.end(1000, clean_up=True)
    assert turning.handler.seen == ["a", ("closed", 1000)]
    assert turning.log == ["ended"]
    await passes(2)
    assert other_tasks() == set()
    assert timers() == []


async def test_handler_in_a_parked_task_gets_its_grace(turning: TurnsScene) -> None:
    """A message that wakes the task and the end of the connection come in one pass."""
    turning.turns.offer("a")
    await passes(2)
    gate = turning.block()
    turning.turns.offer("b")
    turning.turns.end(1006, clean_up=True)
    await after(1)
    assert turning.log == []
    gate.set()
    await passes(3)
    assert turning.handler.finished == ["a", "b"]
    assert turning.log == ["ended"]


async def test_handler_that_ignores_the_end_is_cancelled_in_a_parked_task(turning: TurnsScene) -> None:
    turning.turns.offer("a")
    await passes(2)
    turning.block()
    turning.turns.offer("b")
    turning.turns.end(1006, clean_up=True)
    await after(3)
    assert turning.handler.finished == ["a"]
    assert turning.handler.seen[-1] == ("closed", 1006)
    assert turning.log == ["ended"]
    assert other_tasks() == set()


async def test_handler_that_cancels_its_own_task_harms_no_later_message(turning: TurnsScene) -> None:
    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    turning.handler.does["a"] = cancel
    turning.turns.offer("a")
    await passes(3)
    assert other_tasks() == set()
    turning.turns.offer("b")
    await passes(3)
    assert turning.handler.finished == ["a", "b"]
    turning.turns.end(1000, clean_up=True)
    await passes(2)


@pytest.mark.parametrize("is_first", [True, False])
async def test_parked_task_that_is_cancelled_together_with_a_message(
    turning: TurnsScene, is_first: bool
) -> None:
    """Whichever comes first in the pass, another task handles the message, and those behind it in order."""
    turning.turns.offer("a")
    await passes(2)
    (task,) = other_tasks()
    if is_first:
        task.cancel()
    turning.turns.offer("b")
    task.cancel()
    turning.turns.offer("c")
    await passes(3)
    assert turning.handler.finished == ["a", "b", "c"]
    assert len(other_tasks() - {task}) == 1
    turning.turns.end(1001, clean_up=True)
    await passes(2)
    assert turning.log == ["ended"]
    assert turning.counters.unhandled == 0
    assert other_tasks() == set()


@pytest.mark.parametrize("is_first", [True, False])
async def test_parked_task_that_is_cancelled_together_with_a_dispatch(
    turning: TurnsScene, is_first: bool
) -> None:
    """What is dispatched wakes the task in a later call, and is not lost either."""
    turning.turns.offer("a")
    await passes(2)
    (task,) = other_tasks()
    if is_first:
        task.cancel()
    envelope = Envelope(Form.TEXT, b"b")
    turning.turns.dispatch(Dispatched(RoomName("g"), Position("e", 1), envelope), note=True)
    if not is_first:
        asyncio.get_running_loop().call_soon(task.cancel)
    await passes(3)
    assert turning.handler.finished == ["a", "b"]
    turning.turns.end(1001, clean_up=True)
    await passes(2)
    assert turning.log == ["ended"]


async def test_parked_task_that_is_cancelled_together_with_the_last_message(turning: TurnsScene) -> None:
    """The end of the connection in the same pass changes nothing: the message is handled before the clean-up."""
    turning.turns.offer("a")
    await passes(2)
    (task,) = other_tasks()
    turning.turns.offer("b")
    turning.turns.end(1006, clean_up=True)
    task.cancel()
    await passes(4)
    assert turning.handler.finished == ["a", "b"]
    assert turning.handler.seen[-1] == ("closed", 1006)
    assert turning.log == ["ended"]
    assert timers() == []


async def test_parked_task_that_is_cancelled_as_the_connection_ends(turning: TurnsScene) -> None:
    """With nothing in hand it is simply gone."""
    turning.turns.offer("a")
    await passes(2)
    (task,) = other_tasks()
    task.cancel()
    turning.turns.end(1001, clean_up=True)
    await passes(2)
    assert turning.log == ["ended"]
    assert other_tasks() == set()


async def test_dispatch_and_end_of_the_connection_leave_no_task(turning: TurnsScene) -> None:
    """A task that waits is also ended when the end overtakes what was to wake it."""
    turning.turns.offer("a")
    await passes(2)
    envelope = Envelope(Form.TEXT, b"b")
    turning.turns.dispatch(Dispatched(RoomName("g"), Position("e", 1), envelope), note=True)
    turning.turns.end(1000, clean_up=True)
    await passes(3)
    assert turning.handler.seen == ["a", ("closed", 1000)]
    assert turning.log == ["ended"]
    assert other_tasks() == set()
    assert timers() == []


async def test_context_of_the_connection_holds_from_message_to_message(turning: TurnsScene) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def write() -> None:
        variable.set("written")

    async def read() -> None:
        seen.append(variable.get())

    turning.handler.does = {"a": write, "b": read}
    for message in ("a", "b"):
        turning.turns.offer(message)
        await passes(2)
    await after(2.5 * TICK_S)
    turning.turns.offer("b")
    await passes(2)
    assert seen == ["written", "written"]
    turning.turns.end(1000, clean_up=True)
    await passes(2)


async def test_one_timer_serves_all(turning: TurnsScene) -> None:
    parking = Parking()
    others = [TurnsScene(parking) for _ in range(3)]
    for other in others:
        other.begin()
        other.turns.offer("a")
    await passes(2)
    assert len(timers()) == 1
    for other in others:
        other.turns.end(1000, clean_up=True)
    await passes(2)
    assert timers() == []
