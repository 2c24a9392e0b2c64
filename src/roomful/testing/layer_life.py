"""Checks of attaching, detaching, starting and stopping. Each one's docstring is the guarantee that it holds."""

from __future__ import annotations

import asyncio

from ..core.errors import LayerError
from ..core.ports import Receipt
from .layer_bench import ROOM, Bench, expect

__all__ = (
    "delivers_nothing_after_detach",
    "delivers_nothing_before_attach",
    "goes_on_after_a_second_attach",
    "leaves_nothing_running",
    "misses_nothing_after_attach",
    "starts_again_after_stop",
    "takes_a_push_that_nobody_awaits",
    "takes_a_push_whose_waiter_is_cancelled",
)


async def delivers_nothing_before_attach(bench: Bench) -> None:
    """A room that nobody has attached is not delivered."""
    before = await bench.publish(b"before")
    top = await bench.layer.attach(ROOM)
    expect(top == before.position, f"attach returned {top}; the last event is at {before.position}")
    after = await bench.publish(b"after")
    got = await bench.arrived_at(after.position)
    expect([event.payload for event in got] == [b"after"], f"deliveries are {got}")


async def misses_nothing_after_attach(bench: Bench) -> None:
    """All that follows the position that `attach` returned is delivered, or the room is suspected."""
    pushes: list[asyncio.Future[Receipt]] = []

    async def push() -> None:
        for number in range(50):
            pushes.append(bench.publish(str(number).encode()))
            await asyncio.sleep(0)

    pushing = asyncio.create_task(push())
    for _ in range(10):
        await asyncio.sleep(0)
    top = await bench.layer.attach(ROOM)
    await pushing
    await bench.publish(b"last")
    owed = [at for at in [(await push).position for push in pushes] if at.offset > top.offset]
    while len(bench.delivered) <= len(owed) and not bench.suspected:
        await bench.news()
    if not bench.suspected:
        got = [event.at for event in bench.delivered]
        expect(got[:-1] == owed, f"after {top} deliveries are {got}; owed are {owed}")


async def delivers_nothing_after_detach(bench: Bench) -> None:
    """What is published to a room that was detached does not come."""
    await bench.layer.attach(ROOM)
    await bench.publish(b"attached")
    await bench.arrived(1)
    bench.layer.detach(ROOM)
    bench.layer.detach(ROOM)
    await bench.publish(b"detached")
    await bench.layer.attach(ROOM)
    last = await bench.publish(b"attached again")
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"attached", b"attached again"], f"deliveries are {got}")


async def goes_on_after_a_second_attach(bench: Bench) -> None:
    """A room that is attached again goes on behind its earlier events."""
    await bench.layer.attach(ROOM)
    await bench.publish(b"1")
    bench.layer.detach(ROOM)
    away = await bench.publish(b"2")
    top = await bench.layer.attach(ROOM)
    expect(top == away.position, f"attach returned {top}; the last event is at {away.position}")
    last = await bench.publish(b"3")
    expect(
        last.position.offset == top.offset + 1, f"the next event is at {last.position}; attach returned {top}"
    )
    await bench.arrived_at(last.position)


async def takes_a_push_that_nobody_awaits(bench: Bench) -> None:
    """`publish` takes effect by being called."""
    await bench.layer.attach(ROOM)
    push = bench.publish(b"nobody waits")
    await bench.arrived(1)
    # Looked at only now, so that a lazy layer has had no reason to act.
    expect((await push).position == bench.delivered[0].at, "receipt and delivery differ")


async def takes_a_push_whose_waiter_is_cancelled(bench: Bench) -> None:
    """A push whose waiter is cancelled takes effect too, and the layer works on."""
    await bench.layer.attach(ROOM)
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(
        lambda _, context: problems.append(context.get("exception") or context["message"])
    )
    try:
        bench.publish(b"cancelled").cancel()
        last = await bench.publish(b"awaited")
        got = await bench.arrived_at(last.position)
    finally:
        loop.set_exception_handler(handler)
    expect([event.payload for event in got] == [b"cancelled", b"awaited"], f"deliveries are {got}")
    expect(not problems, f"the event loop was told of {problems}")


async def starts_again_after_stop(bench: Bench) -> None:
    """A stopped layer delivers nothing, and works again once it is started."""
    await bench.layer.attach(ROOM)
    await bench.publish(b"before")
    earlier = await bench.arrived(1)
    await bench.stop()
    await bench.start()
    await bench.publish(b"not attached")
    await bench.layer.attach(ROOM)
    last = await bench.publish(b"after")
    got = await bench.arrived_at(last.position)
    expect([event.payload for event in got] == [b"after"], f"deliveries after the second start are {got}")
    expect(len(earlier) == 1, f"deliveries to who had started it before are {earlier}")


async def leaves_nothing_running(bench: Bench) -> None:
    """No task is left when `stop` has returned, and no push waits for its answer."""
    own = asyncio.current_task()
    await bench.stop()
    before = asyncio.all_tasks()
    await bench.start()
    await bench.layer.attach(ROOM)
    await bench.publish(b"awaited")
    push = bench.publish(b"nobody waits")
    await bench.stop()
    running = asyncio.all_tasks() - before - {own}
    expect(not running, f"tasks still run: {running}")
    expect(push.done(), "a push is still without an answer")
    if push.exception() is not None:
        expect(isinstance(push.exception(), LayerError), f"a push was answered with {push.exception()!r}")
