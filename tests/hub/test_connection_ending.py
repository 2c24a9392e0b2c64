"""The connection: how it closes, how it is lost, and what still comes in."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from roomful.core.close_codes import CloseCode
from roomful.core.limits import Limits
from roomful.hub.member import State
from tests.clock import after, passes
from tests.fakes import FakeKind
from tests.hub.scene import Scene

# ── Closing ──


async def test_close_writes_what_is_owed_and_nothing_after_it(scene: Scene) -> None:
    """A close comes behind all that was pushed before it; what is pushed later is not for it."""
    ann, bob = await scene.member("lobby", "side"), await scene.member("lobby")
    await scene.push("lobby", "one")
    await scene.push("side", "two")

    ann.connection.close(1000, "bye")
    await scene.push("lobby", "three")
    await passes(2)

    assert ann.written == ["lobby@1 one", "side@1 two"]
    assert ann.wire.writes == 3  # the two joins, and what was owed of both rooms in one
    assert ann.wire.closed == [("close", 1000, "bye", None)]
    assert bob.written == ["lobby@1 one", "lobby@2 three"]


async def test_close_with_nothing_owed_writes_the_close_alone(scene: Scene) -> None:
    """A second close does nothing, and the first code stands whatever the socket says."""
    client = scene.client()

    client.connection.close(4000, "first")
    client.connection.close(1000, "second")
    client.wire.lose(1006)

    assert client.wire.closed == [("close", 4000, "first", None)]
    assert client.connection.code == 4000
    assert client.handler.seen == [("closed", 4000)]


async def test_close_with_what_must_not_be_sent_is_a_mistake(scene: Scene) -> None:
    """A code or reason that cannot be on the wire leaves the connection open."""
    client = scene.client()

    with pytest.raises(ValueError, match="close code is 1006"):
        client.connection.close(1006)
    with pytest.raises(ValueError, match="close reason is 124 bytes"):
        client.connection.close(1000, "x" * 124)

    assert client.connection.state is State.OPEN


async def test_close_behind_an_outbox_waits_until_it_is_drained(scene: Scene) -> None:
    """What waits is written before the close frame, in order, and no timer is left."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    ann.connection.send("a")
    await scene.push("lobby", "b")

    ann.connection.close(1000, "bye")
    assert ann.wire.closed == []
    ann.wire.resume()

    assert ann.written == ["a", "lobby@1 b"]
    assert ann.wire.closed == [("close", 1000, "bye", None)]
    assert scene.engine.statistics().paused == 0


@pytest.mark.parametrize(
    ("code", "told"),
    [(1001, (1001, "bye")), (1000, (CloseCode.STALE, "no progress in writing; reconnect and resume"))],
)
async def test_close_behind_an_outbox_that_does_not_drain_lets_go(
    scene: Scene, code: int, told: tuple[int, str]
) -> None:
    """A client that does not read cannot keep a connection that is closing, and is not told that all was well."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a")
    ann.connection.close(code, "bye")

    await after(9.9)
    assert ann.wire.closed == []
    await after(0.2)

    assert ann.wire.closed == [("close", *told, 2.0)]
    assert scene.engine.statistics().let_go == {"stuck": 1}
    ann.wire.resume()
    assert ann.written == []


async def test_close_whose_last_entries_do_not_fit_says_come_back(scene: Scene) -> None:
    """A closing that would lose what was owed is no normal one: the client is told to resume."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    ann.connection.send("a" * 90)
    await scene.push("lobby", "b" * 90)

    ann.connection.close(1000, "bye")

    assert ann.wire.closed == [("close", CloseCode.SLOW, "outbox is full; reconnect and resume", 2.0)]
    assert scene.engine.statistics().let_go == {"slow": 1}
    assert ann.connection.code == CloseCode.SLOW


async def test_pause_by_the_last_write_before_a_close_changes_nothing(scene: Scene) -> None:
    """The transport holds what it took; the close frame goes behind it."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "one")
    ann.wire.takes = 1

    ann.connection.close(1000, "bye")

    assert ann.written == ["lobby@1 one"]
    assert ann.wire.closed == [("close", 1000, "bye", None)]
    assert scene.engine.statistics().paused == 0


async def test_letting_go_twice_counts_once(scene: Scene) -> None:
    """A connection that is being let go, or has closed, is not let go again."""
    ann, bob = scene.client(), scene.client()
    ann.connection.let_go(4000, "", "slow")
    ann.connection.let_go(4003, "", "stale")
    bob.connection.close()
    bob.connection.let_go(4003, "", "stale")

    assert scene.engine.statistics().let_go == {"slow": 1}
    assert bob.wire.closed == [("close", 1000, "", None)]


async def test_abort_leaves_the_rooms_and_writes_nothing(scene: Scene) -> None:
    """An aborted connection is in no room when this returns."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "one")

    ann.connection.abort()

    assert (ann.wire.closed, ann.written) == ([("abort",)], [])
    assert scene.engine.statistics().rooms == 0


# ── The end of the socket ──


async def test_loss_within_a_flush_waits_for_its_end(scene: Scene) -> None:
    """A member that ends while it is written to leaves once the flush has ended; nobody misses or repeats anything."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    ann.wire.on_write = ann.wire.lose
    await scene.push("lobby", "one")

    await passes()
    assert ann.connection.is_lost
    await scene.push("lobby", "two")
    await passes(2)

    assert ann.written == ["lobby@1 one"]
    assert bob.written == ["lobby@1 one", "lobby@2 two"]
    assert ann.handler.seen == [("closed", 1006)]


async def test_loss_and_overflow_in_one_flush(scene: Scene) -> None:
    """Of two ends that arise in one flush the first counts."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    bob.wire.pause()
    bob.connection.send("x" * 100)
    ann.wire.on_write = bob.wire.lose
    await scene.push("lobby", "one")

    await passes()

    assert bob.connection.is_lost
    assert scene.engine.statistics().let_go == {}
    assert bob.connection.code == 1006


async def test_second_loss_is_ignored(scene: Scene) -> None:
    """Whatever a wire does, a connection ends once."""
    client = scene.client()
    client.wire.lose(1001)
    client.wire.lose(1006)

    assert client.connection.code == 1001
    assert client.handler.seen == [("closed", 1001)]


async def test_loss_leaves_no_reference(scene: Scene) -> None:
    """Nothing keeps a connection once it has ended, whatever it was in the middle of."""
    client = await scene.member("lobby", supervises=False)
    client.wire.pause()
    client.connection.send("a" * 90)
    client.connection.room_to_write()
    client.connection.close()
    gone = weakref.ref(client.connection)
    client.wire.lose()
    await passes(3)
    scene.clients.clear()
    del client
    gc.collect()

    assert gone() is None


async def test_ended_waits_for_the_clean_up(scene: Scene) -> None:
    """`ended` returns when nothing of the connection runs any more, for each that waits, and at once after that."""
    client = scene.client()
    gate = asyncio.Event()

    async def clean_up() -> None:
        await gate.wait()

    client.handler.on_close = clean_up
    waiting = [asyncio.ensure_future(client.connection.ended()) for _ in range(2)]
    client.wire.lose()
    await passes(3)
    assert [task.done() for task in waiting] == [False, False]

    waiting[0].cancel()
    gate.set()
    await passes(4)

    assert waiting[0].cancelled()
    assert waiting[1].done()
    await client.connection.ended()


# ── What comes in ──


async def test_messages_reach_the_handler_and_a_full_inbox_stops_the_reading(scene: Scene) -> None:
    """A slow handler stops the reading of its own socket, and nothing is lost; the heartbeat knows of it."""
    client = scene.client()
    client.handler.gate = asyncio.Event()
    for text in "abc":
        client.connection.received(text)
    assert client.wire.calls[1:] == [("stop_reading",)]
    assert client.connection.reads is False

    client.handler.gate.set()
    await passes(3)

    assert client.handler.finished == ["a", "b", "c"]
    assert client.wire.calls[1:] == [("stop_reading",), ("start_reading",)]
    assert client.connection.reads is True


async def test_message_within_a_flush_is_handled_after_it(scene: Scene) -> None:
    """A handler never runs in the middle of a flush."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    bob.handler.is_plain = True
    ann.wire.on_write = lambda: bob.connection.received(f"{len(bob.written)}")
    await scene.push("lobby", "one")

    await passes()

    assert bob.handler.seen == ["0"]
    assert bob.written == ["lobby@1 one"]


async def test_message_after_a_close_is_not_handled(scene: Scene) -> None:
    """Who has closed listens no more."""
    client = scene.client()
    client.connection.close()
    client.connection.received("late")
    await passes(2)

    assert client.handler.seen == []


@pytest.mark.parametrize("message", ["x" * 11, b"x" * 11, "é" * 6])
async def test_message_that_is_too_big_closes_with_1009(message: str | bytes) -> None:
    """A message above the limit, counted in bytes, closes its connection and reaches no handler."""
    scene = Scene(Limits(max_message_bytes=10))
    client = scene.client()
    for fits in ("x" * 10, b"x" * 10, "é" * 5):
        client.connection.received(fits)

    client.connection.received(message)
    await passes(3)

    assert client.wire.closed == [("close", CloseCode.TOO_BIG, "message is too big", None)]
    assert len(client.handler.seen) == 3
    await scene.assert_nothing_is_left()


async def test_heard_is_a_sign_of_life_where_the_hub_supervises(scene: Scene) -> None:
    """A wire that supervises itself has no pulse; for the others any bytes count."""
    ours, theirs = scene.client(supervises=False), scene.client()
    for client in (ours, theirs):
        client.connection.heard()

    assert theirs.connection.pulse is None
    assert ours.connection.pulse is not None
    assert ours.connection.pulse.heard
    ours.connection.ping()
    assert ours.wire.calls[-1] == ("ping",)
    ours.wire.backlog = 5
    assert ours.connection.unsent == 5


async def test_repr_shows_state_and_rooms_alone(scene: Scene) -> None:
    """A log line about a connection holds no payload."""
    client = await scene.member("lobby")

    assert repr(client.connection) == f"<Connection {client.connection.id} OPEN rooms=1>"
    assert client.connection.rooms == {"lobby"}
    assert client.connection.kind == FakeKind()
