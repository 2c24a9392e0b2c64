"""Questions to small real servers: what they tell apart is told apart."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from statistics import median
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from roomful.probe.adapter import PlainAdapter
from roomful.probe.fleet import Fleet
from roomful.probe.questions import IdleWatch, ask_lone, ask_storm
from roomful.probe.questions.storm import open_together
from roomful.probe.target import Target

PAUSE_S = 0.02


@asynccontextmanager
async def server(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> Any:
    """Serve in this loop; yield the target."""
    async with serve(handler, "127.0.0.1", 0, compression=None, **options) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield Target(f"ws://127.0.0.1:{port}/")


async def awaiting(connection: ServerConnection) -> None:
    async for message in connection:
        await asyncio.sleep(PAUSE_S)
        await connection.send(message)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


async def lone(serving: AbstractAsyncContextManager[Target]) -> list[dict[str, Any]]:
    """Ask, and return the rounds."""
    async with serving as target:
        fleet = Fleet(target, PlainAdapter(), max_bytes=1 << 20)
        answer: Any = await ask_lone(fleet, binary=False, clock=time.monotonic, cost=lambda: None)
        await fleet.close()
    rounds: list[dict[str, Any]] = answer["rounds"]
    assert {(each["cpu_s"], each["waited_s"]) for each in rounds} == {(None, None)}
    return rounds


async def test_a_handler_that_awaits_delays_no_ping() -> None:
    """The loop is free meanwhile."""
    rounds = await lone(server(awaiting))
    echo_s, during_s = (median(each[name] for each in rounds) for name in ("echo_s", "ping_during_s"))
    assert echo_s > PAUSE_S
    assert during_s < echo_s / 3


async def test_a_blocking_call_delays_the_ping_of_another(planted: Callable[..., str]) -> None:
    """It cannot be answered before; the server is in a process of its own, as it would block this one."""
    target = Target(planted("--block-s", str(PAUSE_S)))
    fleet = Fleet(target, PlainAdapter(), max_bytes=1 << 20)
    answer: Any = await ask_lone(fleet, binary=False, clock=time.monotonic, cost=lambda: None)
    await fleet.close()
    echo_s, during_s = (
        median(each[name] for each in answer["rounds"]) for name in ("echo_s", "ping_during_s")
    )
    assert echo_s > PAUSE_S
    assert during_s > echo_s / 3


async def storm(target: Target, wanted: int) -> dict[str, Any]:
    return await ask_storm(target, wanted=wanted, clock=time.monotonic, files=lambda: [(9, 20)], local=True)


async def test_a_storm_on_a_sound_server_opens_all() -> None:
    """In turn and together; nothing is asked for again."""
    async with server(echo) as target:
        answer = await storm(target, 20)
    assert (answer["in_turn"]["opened"], answer["in_turn"]["error"]) == (20, None)
    assert (answer["in_turn"]["descriptors"], answer["in_turn"]["descriptor_limit"]) == (9, 20)
    assert [each["error"] for each in answer["connections"]] == [None] * 20
    assert sum(each["retries"] or 0 for each in answer["connections"]) == 0


async def test_a_limit_of_connections_ends_the_questions() -> None:
    """One after the other they open up to it; to come together is not asked then."""
    opened = 0

    async def limited(connection: ServerConnection) -> None:
        nonlocal opened
        opened += 1
        await connection.wait_closed()

    def refuse(connection: ServerConnection, request: object) -> Any:
        return connection.respond(503, "full\n") if opened >= 5 else None

    async with server(limited, process_request=refuse) as target:
        answer = await storm(target, 20)
    assert answer["in_turn"]["opened"] == 5
    assert "503" in answer["in_turn"]["error"]
    assert answer["connections"] == []


async def test_connections_that_do_not_fit_into_the_backlog_are_asked_for_again() -> None:
    """Nobody accepts; the kernel keeps two waiting and ignores the rest."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        port = listening.getsockname()[1]
        found: list[Any] = await open_together(Target(f"ws://127.0.0.1:{port}/"), 8)
    assert sum(bool(each["retries"]) for each in found) >= 4
    assert all(each["error"] for each in found)


async def test_idle_connections_that_are_cut_are_counted_and_opened_again() -> None:
    """Each with its age and with whether a close frame came."""

    async def cutting(connection: ServerConnection) -> None:
        await asyncio.sleep(0.1)
        connection.transport.abort()

    async with server(cutting) as target:
        watch = IdleWatch(target, time.monotonic)
        watch.start()
        await until(lambda: watch.ended >= 3)
        found: list[Any] = await watch.stop()
    ended = [each for each in found if each["ended_at_s"] is not None]
    assert len(ended) >= 3
    assert {(each["code"], each["close_frame"]) for each in ended} == {(1006, False)}
    assert all(0.05 < each["quiet_s"] < 5 for each in ended)


@pytest.mark.parametrize("pings", [0.05, None])
async def test_idle_connections_that_live_are_said_to(pings: float | None) -> None:
    """With how many pings the server sent them."""
    async with server(echo, ping_interval=pings) as target:
        watch = IdleWatch(target, time.monotonic)
        watch.start()
        await until(lambda: watch.open == 2 and (pings is None or watch.pings >= 2))
        found: list[Any] = await watch.stop()
    assert [each["code"] for each in found] == [None, None]
    assert (sum(each["server_pings"] for each in found) > 0) is (pings is not None)
