"""The connection: a state machine between its wire, its consumer and its rooms."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from roomful.core.close_codes import CloseCode
from roomful.core.errors import ConnectionClosed, InvalidState, NotEncodable
from roomful.core.events import Event
from roomful.core.limits import Limits
from roomful.hub.connection import State
from tests.clock import after, passes
from tests.fakes import FakeKind
from tests.hub.scene import Client, Scene

# ── The handshake ──


async def test_connect_that_returns_accepts(scene: Scene) -> None:
    """A connection that nobody has accepted is accepted when `connect` returns."""
    client = scene.opening()
    assert client.connection.state is State.OPENING
    assert client.connection.is_opening
    assert client.wire.calls == []

    client.connected()

    assert not client.connection.is_opening
    assert client.wire.calls == [("accept", None, [])]
    assert client.connection.state is State.OPEN


@pytest.mark.parametrize("first", ["send", "join", "close"])
async def test_first_use_accepts(scene: Scene, first: str) -> None:
    """The first join, send or close accepts; a browser would see no code of a handshake that was refused."""
    client = scene.opening()
    if first == "send":
        client.connection.send("hello")
    elif first == "join":
        await client.connection.join("lobby")
    else:
        client.connection.close(4500, "no")

    assert client.wire.calls[0] == ("accept", None, [])
    client.connected()
    assert client.wire.calls.count(("accept", None, [])) == 1


async def test_accept_carries_subprotocol_and_headers(scene: Scene) -> None:
    """Header names go out in lower case, as ASGI wants them; a second accept is a mistake."""
    client = scene.opening()

    client.connection.accept("chat", {"X-Room": "é"})

    assert client.wire.calls == [("accept", "chat", [(b"x-room", b"\xe9")])]
    with pytest.raises(InvalidState, match="connection is accepted already"):
        client.connection.accept(None, {})


async def test_header_that_cannot_be_written_accepts_nothing(scene: Scene) -> None:
    """A header that HTTP cannot carry leaves the handshake open, so that it can still be refused."""
    client = scene.opening()

    with pytest.raises(UnicodeEncodeError):
        client.connection.accept(None, {"x": "☃"})

    assert client.connection.state is State.OPENING
    client.connection.refuse(500, b"", [], "")
    assert client.wire.calls == [("refuse", 500, b"", [])]
    client.connection.abandoned()


async def test_refusal_before_the_handshake_is_an_http_response(scene: Scene) -> None:
    """A refused connection was never accepted: `disconnect` does not run for it."""
    client = scene.opening()

    client.connection.refuse(404, b"no such room", [(b"a", b"b")], "no such room")
    client.connection.abandoned()
    client.wire.lose(1006)

    assert client.wire.calls == [("refuse", 404, b"no such room", [(b"a", b"b")])]
    assert client.connection.code == CloseCode.NOT_FOUND
    assert client.handler.seen == []


async def test_refusal_after_the_handshake_closes_with_the_matching_code(scene: Scene) -> None:
    """Once accepted, a refusal is a close code."""
    client = scene.opening()
    client.connection.send("welcome")

    client.connection.refuse(403, b"", [], "not you")
    client.connection.abandoned()
    client.wire.lose(1006)

    assert client.wire.closed == [("close", CloseCode.FORBIDDEN, "not you", None)]
    assert client.handler.seen == [("closed", CloseCode.FORBIDDEN)]


async def test_refusal_of_a_connection_that_has_gone_does_nothing(scene: Scene) -> None:
    """Nobody is left to be refused."""
    client = scene.opening()
    client.wire.lose(1001)
    client.connection.refuse(403, b"", [], "")
    client.connection.abandoned()

    assert client.wire.calls == []


async def test_handshake_that_expires_is_refused(scene: Scene) -> None:
    """A handshake that takes too long is refused; one that was accepted in time goes on."""
    slow, quick = scene.opening(), scene.client()
    for client in (slow, quick):
        client.connection.expire(503, b"late", [])
    slow.connection.abandoned()

    assert slow.wire.closed == [("refuse", 503, b"late", [])]
    assert quick.wire.closed == []


async def test_connection_needs_a_handler(scene: Scene) -> None:
    """Whoever lets a connection begin without a consumer learns so."""
    client = Client(scene.engine, FakeKind(), supervises=True)

    with pytest.raises(InvalidState, match="connection has no handler"):
        client.connected()

    client.connection.received("dropped")
    client.connection.abandoned()
    client.wire.lose()


async def test_loss_during_connect_cancels_it(scene: Scene) -> None:
    """The client has gone, so `connect` is cancelled; what it had accepted is cleaned up after it."""
    client = scene.opening()
    client.connection.send("welcome")

    client.wire.lose(1001)

    assert client.connecting.cancelled()
    assert client.handler.seen == []
    client.connection.abandoned()
    assert client.handler.seen == [("closed", 1001)]


async def test_connect_that_returns_after_the_loss_cleans_up(scene: Scene) -> None:
    """A `connect` that was done before its cancellation reached it is followed by the clean-up alone."""
    client = scene.opening()
    client.connection.received("unheard")
    client.connection.send("welcome")
    client.wire.lose(1001)

    client.connected()

    assert client.handler.seen == [("closed", 1001)]
    assert scene.engine.statistics().unhandled == 1


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


async def test_close_behind_an_outbox_that_does_not_drain_lets_go(scene: Scene) -> None:
    """A client that does not read cannot keep a connection that is closing: it is let go with the code it was owed."""
    ann = scene.client()
    ann.wire.pause()
    ann.connection.send("a")
    ann.connection.close(1001, "bye")

    await after(9.9)
    assert ann.wire.closed == []
    await after(0.2)

    assert ann.wire.closed == [("close", 1001, "bye", 2.0)]
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
