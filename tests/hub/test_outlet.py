"""The outlet: what is written to a member, and what waits when its transport is full."""

from __future__ import annotations

import pytest

from roomful.core.close_codes import CloseCode
from roomful.core.errors import ConnectionClosed, NotEncodable
from roomful.core.events import Event
from roomful.core.limits import Limits
from tests.clock import passes
from tests.hub.scene import Scene

# ── What is written ──


async def test_send_stays_behind_earlier_pushes(scene: Scene) -> None:
    """A direct send keeps its place, and costs the other members of the room no flush."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    await scene.push("lobby", "one")
    ann.connection.send("direct")
    await scene.push("lobby", "two")
    assert (ann.written, ann.wire.writes) == (["lobby@1 one", "direct"], 2)
    assert bob.written == []

    await passes()

    assert ann.written == ["lobby@1 one", "direct", "lobby@2 two"]
    assert bob.written == ["lobby@1 one", "lobby@2 two"]


async def test_reply_and_error_are_direct_sends(scene: Scene) -> None:
    """Answers come behind what was pushed before them."""
    ann = await scene.member("lobby")
    await scene.push("lobby", "one")

    ann.connection.reply(7, "done")
    ann.connection.error("bad", "no", reply_to="x")

    assert ann.written == ["lobby@1 one", "reply 7: done", "error x: bad no"]


async def test_connection_that_has_ended_takes_no_send_and_swallows_answers(scene: Scene) -> None:
    """A send on a closed connection raises with its code; an answer has nobody to go to."""
    client = scene.client()
    client.wire.lose(1001)

    with pytest.raises(ConnectionClosed, match="connection is closed with code 1001"):
        client.connection.send("late")
    with pytest.raises(ConnectionClosed):
        client.connection.accept(None, {})
    client.connection.reply(1, "late")
    client.connection.error("late", "late")

    assert client.written == []


async def test_send_that_cannot_be_encoded_accepts_nothing(scene: Scene) -> None:
    """A mistake in the data is raised before anything happens to the connection."""
    client = scene.opening()

    with pytest.raises(NotEncodable):
        client.connection.send(Event("no texts"))

    assert client.wire.calls == []


# ── A full transport ──


async def test_pause_within_a_write_delivers_each_event_once(scene: Scene) -> None:
    """The frames of the write that filled the transport are taken; what follows waits, and comes once."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")
    ann.wire.takes = 1
    await scene.push("lobby", "one")
    await passes()
    await scene.push("lobby", "two")
    ann.connection.send("direct")
    await scene.push("lobby", "three")
    await passes(2)
    assert ann.written == ["lobby@1 one"]
    assert (scene.engine.statistics().paused, ann.connection.outbox_size) == (1, 11 + 6 + 13)
    assert scene.engine.statistics().outbox_bytes == 30
    assert bob.written == ["lobby@1 one", "lobby@2 two", "lobby@3 three"]

    ann.wire.resume()
    await scene.push("lobby", "four")
    await passes(2)

    assert ann.written == ["lobby@1 one", "lobby@2 two", "direct", "lobby@3 three", "lobby@4 four"]
    assert (scene.engine.statistics().paused, ann.connection.outbox_size) == (0, 0)


async def test_transport_that_fills_up_again_while_it_drains(scene: Scene) -> None:
    """An outbox is written out as far as the transport takes it, and the rest later."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    ann.connection.send("a" * 90)
    ann.wire.resume(takes=1)
    ann.connection.send("b")
    assert ann.written == ["a" * 90]

    ann.wire.resume()
    ann.connection.send("c")

    assert ann.written == ["a" * 90, "b", "c"]


async def test_outbox_is_written_in_portions(scene: Scene) -> None:
    """A large outbox is handed to the transport in writes of bounded size, so that it can say when it is full."""
    scene = Scene(Limits(max_outbox_bytes=120_000))
    ann = scene.client(supervises=False)
    ann.wire.pause()
    for letter in "abc":
        ann.connection.send(letter * 40_000)
    waiting = ann.connection.room_to_write()
    assert waiting is not None
    ann.wire.resume(takes=1)
    assert [text[0] for text in ann.take()] == ["a"]
    await passes(2)
    assert not waiting.done()

    ann.wire.resume()

    assert [text[0] for text in ann.take()] == ["b", "c"]
    assert ann.wire.writes == 3
    await scene.assert_nothing_is_left()


async def test_member_that_overflows_within_a_flush_is_let_go_after_it(scene: Scene) -> None:
    """A member whose outbox is full leaves with 4000; the others get everything, and it is counted."""
    ann, bob = await scene.member("lobby", "side"), await scene.member("lobby")
    ann.wire.pause()
    for number in range(5):
        await scene.push("lobby", str(number))
        await passes(2)

    assert ann.wire.closed == [("close", CloseCode.SLOW, "outbox is full; reconnect and resume", 2.0)]
    assert ann.written == []
    assert ann.connection.rooms == frozenset()
    assert len(bob.written) == 5
    statistics = scene.engine.statistics()
    assert (statistics.let_go, statistics.paused, statistics.memberships) == ({"slow": 1}, 0, 1)
    assert ann.connection.code == CloseCode.SLOW


async def test_overflow_in_the_middle_of_a_batch_queues_nothing_behind_it(scene: Scene) -> None:
    """Once an entry did not fit, no later one is taken: a hole would be silent."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    for text in ("a", "b" * 200, "c"):
        await scene.push("lobby", text)

    await passes(2)

    assert ann.wire.closed[0][1] == CloseCode.SLOW
    ann.wire.resume()
    assert ann.written == []


async def test_overflow_by_a_direct_send_lets_go_at_once(scene: Scene) -> None:
    """Outside a flush nothing is put off: neither what did not fit nor what follows is taken."""
    ann = await scene.member("lobby")
    ann.wire.pause()
    await scene.push("lobby", "x" * 80)
    await scene.push("lobby", "y" * 80)

    ann.connection.send("z")

    assert ann.wire.closed[0][:2] == ("close", CloseCode.SLOW)
    assert scene.engine.statistics().let_go == {"slow": 1}
    with pytest.raises(ConnectionClosed):
        ann.connection.send("late")


async def test_second_pause_keeps_the_outbox(scene: Scene) -> None:
    """A wire that says twice that it is full changes nothing."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a")
    ann.wire.pause()
    ann.wire.resume()

    assert ann.written == ["a"]


async def test_resume_without_a_pause_changes_nothing(scene: Scene) -> None:
    """A wire may say that it has room when nobody doubted it."""
    ann = scene.client()
    ann.wire.resume()
    ann.connection.send("a")

    assert ann.written == ["a"]


# ── Waiting for room to write ──


async def test_room_to_write_comes_when_half_of_the_outbox_is_free(scene: Scene) -> None:
    """Whoever waits for room goes on before the outbox is empty, and each of several that wait."""
    ann = scene.client()
    assert ann.connection.room_to_write() is None
    ann.wire.pause()
    ann.connection.send("a" * 40)
    assert ann.connection.room_to_write() is None
    ann.connection.send("b" * 40)
    first, second = ann.connection.room_to_write(), ann.connection.room_to_write()
    assert first is not None
    assert second is not None

    ann.wire.resume(takes=0)
    await passes(2)

    assert (first.done(), second.done()) == (True, True)
    assert ann.connection.room_to_write() is None


async def test_waiter_that_is_cancelled_disturbs_no_other(scene: Scene) -> None:
    """Cancelling one that waits for room cancels neither the others nor those that come later."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a" * 90)
    first, second = ann.connection.room_to_write(), ann.connection.room_to_write()
    assert first is not None
    assert second is not None
    first.cancel()
    await passes(2)
    third = ann.connection.room_to_write()
    assert third is not None

    assert not second.done()
    ann.wire.resume()
    await passes(2)

    assert not second.cancelled()
    assert not third.cancelled()
    assert (second.done(), third.done()) == (True, True)


async def test_waiter_goes_on_when_the_connection_ends(scene: Scene) -> None:
    """Nobody waits for room on a connection that has ended: it goes on and learns of the end from its send."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a" * 90)
    waiting = ann.connection.room_to_write()
    assert waiting is not None

    ann.wire.lose()
    await passes(2)

    assert waiting.done()
    with pytest.raises(ConnectionClosed):
        ann.connection.send("late")


# ── A wire that breaks ──


async def test_wire_that_raises_in_a_send_ends_its_connection(scene: Scene) -> None:
    """A broken wire is the connection's affair, not the sender's."""
    ann = await scene.member("lobby")

    def fail() -> None:
        raise OSError("gone")

    ann.wire.on_write = fail
    ann.connection.send("a")

    assert ann.wire.closed == [("close", CloseCode.INTERNAL_ERROR, "", 2.0)]
    assert scene.engine.statistics().let_go == {"broken": 1}
    assert ann.connection.rooms == frozenset()


async def test_wire_that_raises_while_its_outbox_drains_ends_its_connection(scene: Scene) -> None:
    """`resumed` never raises into its wire, and what was taken from the outbox is not silently lost."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a")

    def fail() -> None:
        raise OSError("gone")

    ann.wire.on_write = fail
    ann.wire.resume()

    assert ann.wire.closed == [("close", CloseCode.INTERNAL_ERROR, "", 2.0)]
    assert scene.engine.statistics().let_go == {"broken": 1}


async def test_wire_that_raises_within_a_flush_costs_the_others_nothing(scene: Scene) -> None:
    """The members behind a broken one get the batch, and the push succeeds."""
    ann, bob = await scene.member("lobby"), await scene.member("lobby")

    def fail() -> None:
        raise OSError("gone")

    ann.wire.on_write = fail
    await scene.push("lobby", "one")
    await passes()

    assert bob.written == ["lobby@1 one"]
    assert ann.wire.closed == [("close", CloseCode.INTERNAL_ERROR, "", 2.0)]


async def test_wire_of_an_excluded_member_that_raises_does_not_fail_the_push(scene: Scene) -> None:
    """Whoever pushes never learns of a member's broken wire."""
    ann = await scene.member("lobby")

    def fail() -> None:
        raise OSError("gone")

    ann.wire.on_write = fail

    assert await scene.push("lobby", "one", exclude=ann) == 1
    assert ann.wire.closed[0][1] == CloseCode.INTERNAL_ERROR
