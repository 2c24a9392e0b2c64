"""Draining: nobody new, what is under way finishes, and everybody is told to come back, not all at one moment."""

from __future__ import annotations

import asyncio

import pytest

from roomful.core.errors import HubClosed
from roomful.core.limits import Limits
from tests.clock import after, now, passes
from tests.fakes import FakeKind
from tests.hub.scene import Scene, soon

DRAINED = ("close", 4001, "server is going away; reconnect and resume", None)
JSON = FakeKind("json")


async def test_everybody_is_told_to_come_back_and_nobody_new_comes(scene: Scene) -> None:
    """What was pushed before is written before the close."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    await scene.engine.pushing.push("lobby", "last")
    draining = soon(scene.engine.drain(10, 0))
    await passes(2)
    with pytest.raises(HubClosed):
        scene.opening()
    for client in (ann, bob):
        assert client.written == ["lobby@1 last"]
        assert client.wire.closed == [DRAINED]
        client.wire.lose()
    await draining


async def test_the_closes_are_spread(scene: Scene) -> None:
    """So that not all come back at one moment; a few do not wait for long."""
    clients = [scene.client() for _ in range(2000)]
    start = now()
    draining = soon(scene.engine.drain(60, 4))
    closed_at: list[float] = []
    while not draining.done():
        for client in clients:
            if client.wire.closed and not client.connection.is_lost:
                closed_at.append(now() - start)
                client.wire.lose()
        await after(0.01)
    assert len(closed_at) == 2000
    for second in range(4):
        assert 450 <= sum(second <= at < second + 1 for at in closed_at) <= 550

    few = Scene()
    await few.engine.start()
    client = few.client()
    soon(few.engine.drain(60, 4))
    await after(0.05)
    assert client.wire.closed == [DRAINED]
    await few.assert_nothing_is_left()


async def test_a_handler_finishes_before_its_connection_is_closed(scene: Scene) -> None:
    """Its reply is written; one that takes too long is not waited for."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    for client in (ann, bob):
        client.handler.gate = asyncio.Event()
        client.connection.received("work")
    draining = soon(scene.engine.drain(5, 0))
    await after(1)
    assert (ann.wire.closed, bob.wire.closed) == ([], [])
    assert ann.handler.gate is not None
    ann.handler.gate.set()
    await after(1)
    assert (ann.wire.closed, bob.wire.closed) == ([DRAINED], [])
    await after(3.1)
    assert bob.wire.closed == [DRAINED]
    for client in (ann, bob):
        client.wire.lose()
    await after(10)
    await draining


async def test_an_outbox_is_written_out_first(scene: Scene) -> None:
    """The close stands behind all that was pushed."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    await scene.engine.pushing.push("lobby", "a")
    draining = soon(scene.engine.drain(5, 0))
    await after(1)
    assert ann.wire.closed == []
    ann.wire.resume()
    await after(0.1)
    assert (ann.written, ann.wire.closed) == (["lobby@1 a"], [DRAINED])
    ann.wire.lose()
    await draining


async def test_a_handshake_that_does_not_end_is_refused(scene: Scene) -> None:
    """With a status that says *later*."""
    ann = scene.opening()
    draining = soon(scene.engine.drain(2, 0))
    await after(2.1)
    assert ann.wire.calls[0][:2] == ("refuse", 503)
    ann.wire.lose()
    ann.connection.abandoned()
    await draining


async def test_a_server_that_stops_drains_once(scene: Scene) -> None:
    """However many connections hear of it, and closing the hub does not wait for the rest."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    bob.handler.gate = asyncio.Event()
    bob.connection.received("work")
    ann.connection.going_away()
    bob.connection.going_away()
    await after(0.1)
    assert (ann.wire.closed, bob.wire.closed) == ([DRAINED], [])
    ann.wire.lose()
    closing = soon(scene.engine.close())
    await passes(2)
    assert bob.wire.closed[0][1] == 1001
    bob.wire.lose()
    await after(10)
    await closing


async def test_a_client_that_does_not_answer_holds_nothing_up(scene: Scene) -> None:
    """Its socket is aborted after `linger_s`, where the hub looks after the socket itself."""
    ann = await scene.member("lobby", supervises=False)
    draining = soon(scene.engine.drain(10, 0))
    await passes(2)
    assert ann.wire.closed == [(*DRAINED[:3], 2.0)]
    ann.wire.lose()
    await draining


async def test_a_hub_that_was_never_used_has_nothing_to_drain() -> None:
    """Nothing is started for it."""
    scene = Scene(Limits())
    await scene.engine.drain(10, 5)
    assert scene.layer.calls == []


async def test_a_hub_that_is_closed_while_it_drains_keeps_nobody_waiting(scene: Scene) -> None:
    """Both return when the last connection has ended."""
    ann = await scene.member("lobby")
    draining = soon(scene.engine.drain(10, 0))
    await passes(2)
    closing = soon(scene.engine.close())
    await passes(2)
    before = now()
    ann.wire.lose()
    await asyncio.gather(draining, closing)
    assert now() == before
