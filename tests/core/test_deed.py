"""A deed: keys for what a handler pushes."""

from __future__ import annotations

import asyncio
import threading

from roomful.core.deed import CURRENT, Deed, default_key


def test_without_a_deed_there_is_no_key() -> None:
    """A push that nobody may cause a second time has no key by default."""
    assert default_key() is None


async def test_pushes_are_numbered_while_the_handler_runs() -> None:
    """Also those of its tasks and threads; what a task pushes after the handler has returned is no part of it."""
    deed = Deed("m")
    token = CURRENT.set(deed)
    later = asyncio.Event()

    async def in_a_task() -> list[str | None]:
        keys = [default_key()]
        await later.wait()
        return [*keys, default_key()]

    task = asyncio.create_task(in_a_task())
    await asyncio.sleep(0)
    keys = [default_key(), await asyncio.to_thread(default_key)]
    deed.end()
    CURRENT.reset(token)
    later.set()

    assert await task == ["m:1", None]
    assert keys == ["m:2", "m:3"]
    assert default_key() is None


def test_keys_of_many_threads_are_different() -> None:
    """No two pushes share one."""
    deed, keys = Deed("m"), []

    def take() -> None:
        keys.extend(deed.next_key() for _ in range(500))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 2000
