"""Threads for handlers written with `def`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from roomful.consumers import Threads
from tests.clock import passes


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(2)
    yield threads
    threads.stop()


async def until(condition: threading.Event) -> None:
    """Wait until a thread has come somewhere."""
    await asyncio.get_running_loop().run_in_executor(None, condition.wait, 10)


async def test_call_runs_in_a_thread_of_ours_in_the_callers_context(threads: Threads) -> None:
    """The loop is not blocked, and context variables are there."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("caller")

    def call() -> tuple[str, str]:
        got = variable.get()
        variable.set("thread")
        return got, threading.current_thread().name

    got, name = await threads.run(call)  # type: ignore[misc] # what `call` returns

    assert got == "caller"
    assert name.startswith("roomful-handler")
    assert variable.get() == "caller"
    assert threads.running == 0


async def test_error_of_a_call_is_the_callers(threads: Threads) -> None:
    """What a handler raises comes out where it was called."""

    def call() -> None:
        raise ValueError("from the thread")

    with pytest.raises(ValueError, match="from the thread"):
        await threads.run(call)
    assert threads.running == 0


async def test_stop_iteration_of_a_call_does_not_hang_its_caller(threads: Threads) -> None:
    """A future cannot hold `StopIteration`; a handler that raises it fails like any other."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(threads.run(lambda: next(iter(()))), 5)
    assert threads.running == 0


async def test_calls_above_the_size_of_the_pool_wait(threads: Threads) -> None:
    """The number of threads is bounded; calls that wait are counted too."""
    gate, together = threading.Event(), threading.Barrier(2)
    most: list[int] = []
    lock = threading.Lock()
    now = 0

    def call() -> None:
        nonlocal now
        with lock:
            now += 1
            most.append(now)
        if len(most) <= 2:
            together.wait(10)
        gate.wait(10)
        with lock:
            now -= 1

    calls = [asyncio.ensure_future(threads.run(call)) for _ in range(5)]
    await passes(2)
    assert threads.running == 5
    gate.set()
    await asyncio.gather(*calls)

    assert max(most) == 2
    assert threads.running == 0


async def test_thread_whose_caller_is_cancelled_is_counted_until_it_ends(threads: Threads) -> None:
    """A thread cannot be stopped; its error has nobody to go to and is not reported as never retrieved."""
    started, gate = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        gate.wait(10)
        raise ValueError("unheard")

    calling = asyncio.ensure_future(threads.run(call))
    await until(started)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert threads.running == 1

    gate.set()
    while threads.running:
        await passes()


async def test_stop_gives_up_calls_that_wait_and_takes_new_ones_later(threads: Threads) -> None:
    """Stopping waits for no thread; used again, there is a new pool. A second stop does nothing."""
    started, gate = threading.Barrier(3), threading.Event()

    def call() -> str:
        started.wait(10)
        gate.wait(10)
        return "ran"

    calls = [asyncio.ensure_future(threads.run(call)) for _ in range(3)]
    await asyncio.get_running_loop().run_in_executor(None, started.wait, 10)
    threads.stop()
    threads.stop()
    with pytest.raises(asyncio.CancelledError):
        await calls[2]
    gate.set()

    assert await asyncio.gather(*calls[:2]) == ["ran", "ran"]
    assert await threads.run(lambda: "again") == "again"
    assert threads.running == 0
