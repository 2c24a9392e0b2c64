"""The fakes of the ports, on their own and below the hub."""

import asyncio
from typing import Any

import pytest

from roomful import Event, Hub, LayerError, Position, Receipt, RoomNameError, UnknownConnection
from roomful.core.names import ConnectionId, RoomName
from roomful.core.ports import Layer, Message, ProducerSeq, Pusher, Wire
from roomful.hub import Connection
from roomful.testing import FakeClock, FakeFraming, FakeLayer, FakePusher, FakeWire, Pushed
from roomful.wire import EventsCodec, Kind

ROOM, SEQ = RoomName("room"), ProducerSeq("p", 1)


def fakes_implement_their_ports() -> tuple[Layer, Pusher, Wire]:
    """Tell the type checker what must hold."""
    return FakeLayer(), FakePusher(), FakeWire()


class Recorder:
    """A peer, and what a layer calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def received(self, message: str | bytes) -> None:
        self.calls.append(message)

    def paused(self) -> None:
        self.calls.append("paused")

    def resumed(self) -> None:
        self.calls.append("resumed")

    def heard(self) -> None:
        self.calls.append("heard")

    def going_away(self) -> None:
        self.calls.append("going away")

    def lost(self, code: int, reason: str) -> None:
        self.calls.append((int(code), reason))

    def deliver(self, room: RoomName, at: Position, payload: bytes) -> None:
        self.calls.append((room, at.offset, payload))

    def suspect(self, room: RoomName) -> None:
        self.calls.append(room)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# ── FakeLayer ──


async def test_layer_fails_as_its_script_says(recorder: Recorder) -> None:
    """Each failure is met once; a push may fail with or without its effect."""
    layer = FakeLayer()
    with pytest.raises(LayerError, match="not started"):
        await layer.publish(ROOM, b"", seq=SEQ)
    with pytest.raises(LayerError, match="not started"):
        layer.suspect("room")
    layer.fail_start(LayerError("down"))
    with pytest.raises(LayerError, match="down"):
        await layer.start(recorder.deliver, recorder.suspect)
    await layer.start(recorder.deliver, recorder.suspect)
    layer.fail_attach(LayerError("not now"))
    with pytest.raises(LayerError, match="not now"):
        await layer.attach(ROOM)
    await layer.attach(ROOM)
    assert layer.attached == {"room"}

    layer.fail_publish(LayerError("refused"))
    layer.fail_publish(LayerError("answer lost"), takes_effect=True)
    with pytest.raises(LayerError, match="refused"):
        await layer.publish(ROOM, b"1", seq=ProducerSeq("p", 1))
    with pytest.raises(LayerError, match="answer lost"):
        await layer.publish(ROOM, b"2", seq=ProducerSeq("p", 2))
    again = await layer.publish(ROOM, b"2", seq=ProducerSeq("p", 2), key="k")

    assert again.duplicate
    assert recorder.calls == [("room", 1, b"2")]
    assert [(call.payload, call.seq.number, call.key) for call in layer.published] == [
        (b"1", 1, None),
        (b"2", 2, None),
        (b"2", 2, "k"),
    ]


async def test_layer_holds_attach_and_delivery(recorder: Recorder) -> None:
    """What is held goes on in order when it is released."""
    layer = FakeLayer()
    await layer.start(recorder.deliver, recorder.suspect)
    layer.hold_attach()
    attaching = asyncio.create_task(layer.attach(ROOM))
    await asyncio.wait((attaching,), timeout=0)
    assert not attaching.done()
    layer.release_attach()
    await attaching

    layer.hold_delivery()
    for number in (1, 2):
        receipt = await layer.publish(ROOM, b"%d" % number, seq=ProducerSeq("p", number))
        assert receipt.position.offset == number
    assert recorder.calls == []
    layer.release_delivery()
    layer.suspect("room")

    assert recorder.calls == [("room", 1, b"1"), ("room", 2, b"2"), "room"]


async def test_layer_loses_a_room(recorder: Recorder) -> None:
    """After a failover the next event begins an epoch, and history knows the old one no more."""
    layer = FakeLayer()
    await layer.start(recorder.deliver, recorder.suspect)
    before = await layer.attach(ROOM)
    await layer.publish(ROOM, b"1", seq=ProducerSeq("p", 1))
    layer.lose_room("room")
    layer.lose_room("another")
    receipt = await layer.publish(ROOM, b"2", seq=ProducerSeq("p", 2))

    assert receipt.position.epoch != before.epoch
    assert recorder.calls == [("room", 1, b"1"), ("room", 1, b"2")]
    assert not (await layer.history(ROOM, before, 10)).complete


async def test_layer_below_a_hub() -> None:
    """A push whose answer is lost raises at its producer, and its members have got it."""
    layer, wire = FakeLayer(), FakeWire()
    async with Hub(layer) as hub:
        connection = hub.engine.open(Kind(EventsCodec(), wire.framing), wire.adopt)
        await connection.join("room")
        layer.fail_publish(LayerError("answer lost"), takes_effect=True)
        with pytest.raises(LayerError, match="answer lost"):
            await hub.push("room", Event("post", 1))
        await asyncio.sleep(0)

        assert [received.type for received in wire.received] == ["roomful.joined", "post"]
        layer.hold_delivery()
        hub.push_nowait("room", Event("post", 2))
        layer.drop_delivery()
        layer.suspect("room")
        for _ in range(5):
            await asyncio.sleep(0)
        assert [received.data for received in wire.received[1:]] == [1, 2]


# ── FakeWire ──


async def test_wire_below_a_connection() -> None:
    """A hub's connection runs on it, from accept to close."""
    wire = FakeWire()
    async with Hub() as hub:
        connection = hub.engine.open(Kind(EventsCodec(), wire.framing), wire.adopt)
        assert isinstance(connection, Connection)
        connection.accept("v2", {"X-A": "1"})
        await connection.join("room")
        await hub.push("room", Event("post", {"n": 1}))
        await asyncio.sleep(0)
        connection.close(4000, "bye")
        await asyncio.sleep(0)

        assert wire.accepted == ("v2", [(b"x-a", b"1")])
        assert [(r.type, r.room, r.data) for r in wire.received] == [
            ("roomful.joined", "room", None),
            ("post", "room", {"n": 1}),
        ]
        assert wire.closed == (4000, "bye", None)
        assert hub.statistics().connections == 0


def message(size: int) -> tuple[Message, ...]:
    return (Message(False, bytes(size)),)


async def test_wire_pauses_its_peer_while_the_client_takes_nothing(recorder: Recorder) -> None:
    """Inside `write`, as transports do; it resumes at a quarter of its capacity."""
    wire = FakeWire(capacity_bytes=100).adopt(recorder)
    wire.accept(None, [])
    wire.write(message(1000))
    assert wire.unsent() == 0
    wire.client_stops_taking()
    for size in (60, 40, 1, 25):
        wire.write(message(size))
    assert (wire.unsent(), recorder.calls) == (126, ["paused"])
    assert len(wire.received) == 1
    wire.client_takes(2)
    assert (wire.unsent(), recorder.calls) == (26, ["paused"])
    wire.client_takes(1)
    assert (wire.unsent(), recorder.calls) == (25, ["paused", "resumed"])
    wire.client_takes(5)
    wire.write(message(7))
    assert wire.unsent() == 7
    wire.client_takes()
    wire.write(message(8))

    assert wire.unsent() == 0
    assert len(wire.received) == len(wire.written) == 7


async def test_wire_reads_when_it_is_told(recorder: Recorder) -> None:
    """What the client sends meanwhile waits, within a bound."""
    wire = FakeWire().adopt(recorder)
    wire.client_sends("1")
    wire.stop_reading()
    assert not wire.is_reading
    for _ in range(64):
        wire.client_sends("2")
    with pytest.raises(AssertionError, match="64 messages wait"):
        wire.client_sends("3")
    assert recorder.calls == ["1"]
    wire.start_reading()

    assert recorder.calls == ["1", *"2" * 64]


async def test_wire_ends_once(recorder: Recorder) -> None:
    """The peer is told once, and never from inside its own call."""
    wire = FakeWire().adopt(recorder)
    wire.accept(None, [])
    wire.close(4000, "bye")
    wire.close(4001, "again")
    assert recorder.calls == []
    wire.write(message(1))
    wire.abort()
    await asyncio.sleep(0)
    wire.client_sends("too late")

    assert recorder.calls == [(4000, "bye")]
    assert (wire.closed, wire.is_aborted, wire.written) == ((4000, "bye", None), True, [])


async def test_wire_of_a_stuck_client_ends_when_it_is_aborted(recorder: Recorder) -> None:
    """A client that takes nothing does not see the close frame either."""
    wire = FakeWire(capacity_bytes=10).adopt(recorder)
    wire.accept(None, [])
    wire.client_stops_taking()
    wire.write(message(11))
    wire.close(4000, "slow", linger_s=1)
    await asyncio.sleep(0)
    assert recorder.calls == ["paused"]
    wire.abort()
    await asyncio.sleep(0)

    assert recorder.calls == ["paused", (1006, "")]
    assert wire.received == []


async def test_wire_refuses_and_is_strict(recorder: Recorder) -> None:
    """A handshake is answered once, and nothing is written before that."""
    wire = FakeWire()
    with pytest.raises(AssertionError, match=r"wire\.adopt"):
        wire.client_goes()
    wire = FakeWire().adopt(recorder)
    with pytest.raises(AssertionError, match="before the handshake"):
        wire.write(message(1))
    wire.refuse(403, b"no", [(b"a", b"b")])
    with pytest.raises(AssertionError, match="answered before"):
        wire.accept(None, [])
    with pytest.raises(AssertionError, match="answered before"):
        wire.refuse(403, b"", [])
    wire.ping()
    await asyncio.sleep(0)

    assert wire.refused == (403, b"no", [(b"a", b"b")])
    assert (wire.pings, recorder.calls) == (1, [(1006, "")])
    assert FakeFraming() == wire.framing
    assert len({FakeFraming(), FakeFraming()}) == 1


# ── FakePusher and FakeClock ──


async def test_pusher_records_what_a_use_case_does() -> None:
    """Rooms are numbered and keys remembered, as by the hub."""
    pusher = FakePusher()
    id_ = ConnectionId("c")
    first = await pusher.push("a", Event("x", 1), key="k")
    again = await pusher.push("a", Event("x", 1), key="k")
    await pusher.push("b", "text", exclude=id_)
    second = await pusher.push("a", b"bytes")
    await pusher.send(id_, "hi")
    await pusher.disconnect(id_, 4500, "out")

    assert (first, again) == (Receipt(Position("fake", 1)), Receipt(Position("fake", 1), duplicate=True))
    assert second.position.offset == 2
    assert pusher.pushed == [
        Pushed(RoomName("a"), Event("x", 1), None, "k"),
        Pushed(RoomName("b"), "text", id_, None),
        Pushed(RoomName("a"), b"bytes"),
    ]
    assert pusher.pushed_to("b") == ["text"]
    assert pusher.sent == [(id_, "hi")]
    assert pusher.disconnected == [(id_, 4500, "out")]
    with pytest.raises(UnknownConnection):
        await pusher.send(id_, "gone")


async def test_pusher_fails_as_the_hub_would() -> None:
    """Once when it is told to, and always for a name that no room can have."""
    pusher = FakePusher()
    with pytest.raises(RoomNameError):
        await pusher.push("", "x")
    pusher.fail_next(LayerError("down"))
    with pytest.raises(LayerError, match="down"):
        await pusher.push("a", "x")
    pusher.unknown.add(ConnectionId("c"))
    with pytest.raises(UnknownConnection):
        await pusher.disconnect(ConnectionId("c"))

    assert (pusher.pushed, pusher.disconnected) == ([], [])


async def test_pusher_takes_pushes_as_the_hub_does() -> None:
    """Without waiting, from threads, and with a consumer to exclude."""

    class Consumer:
        id = ConnectionId("c")

    pusher = FakePusher()
    first = pusher.push_nowait("a", "1", exclude=Consumer())
    second = await asyncio.to_thread(lambda: pusher.push_threadsafe("a", "2").result())
    refused = pusher.push_threadsafe("", "3")

    assert first.result().position.offset == 1
    assert second.position.offset == 2
    assert pusher.pushed == [Pushed(RoomName("a"), "1", ConnectionId("c")), Pushed(RoomName("a"), "2")]
    with pytest.raises(RoomNameError):
        refused.result()


def test_clock_moves_when_it_is_told() -> None:
    clock = FakeClock(5.0)
    clock.advance(1.5)

    assert clock() == 6.5
    with pytest.raises(ValueError, match="at least 0"):
        clock.advance(-1)
