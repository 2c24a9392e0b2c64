"""The plain wire: a connection through ASGI's `receive` and `send`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable

import pytest

from roomful.core.ports import Message, Peer, Wire
from roomful.endpoint.asgi_wire import AsgiWire
from roomful.endpoint.framing import ASGI_FRAMING
from tests.clock import VirtualLoop, after, now, other_tasks, passes, settled
from tests.endpoint.server import Server


class FakePeer:
    """Notes what its wire calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.on_received: Callable[[], None] | None = None
        self.on_resumed: Callable[[], None] | None = None

    def received(self, message: str | bytes) -> None:
        self.calls.append(("received", message))
        if self.on_received is not None:
            self.on_received()

    def paused(self) -> None:
        self.calls.append(("paused",))

    def resumed(self) -> None:
        self.calls.append(("resumed",))
        if self.on_resumed is not None:
            self.on_resumed()

    def heard(self) -> None:
        pass

    def going_away(self) -> None:
        raise AssertionError("only our own server says so")

    def lost(self, code: int, reason: str) -> None:
        self.calls.append(("lost", code, reason))


class Scene:
    """A wire between a server and a peer."""

    def __init__(self, *, extensions: dict[str, object] | None = None) -> None:
        self.server = Server()
        self.peer = FakePeer()
        peer: Peer = self.peer
        self.wire = AsgiWire(
            peer, self.server.receive, self.server.send, extensions=extensions or {}, max_buffer_bytes=100
        )
        self.wire.start()

    def write(self, *messages: str | bytes) -> None:
        wire: Wire = self.wire
        frames = [
            ASGI_FRAMING.frame((Message(isinstance(m, str), m.encode() if isinstance(m, str) else m),))
            for m in messages
        ]
        wire.write(wire.framing.join(frames))


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    """Give a wire, and see to it that it ends once and leaves no task and no timer."""
    scene = Scene()
    yield scene
    scene.wire.abort()
    await passes(3)
    assert [call[0] for call in scene.peer.calls].count("lost") == 1
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert other_tasks() == set()
    assert loop.timers == []


# ── Writing ──


async def test_what_is_written_is_sent_in_order(scene: Scene) -> None:
    """Accept, messages and close go out in the order of the calls; the events are copies of the shared ones."""
    frame = ASGI_FRAMING.frame((Message(True, b"shared"),))
    scene.wire.accept("chat", [(b"a", b"b")])
    scene.write("é", b"\x00")
    scene.wire.write(ASGI_FRAMING.join([frame]))
    scene.wire.close(4000, "bye")
    await settled()

    assert scene.server.sent == [
        {"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"a", b"b")]},
        {"type": "websocket.send", "text": "é"},
        {"type": "websocket.send", "bytes": b"\x00"},
        {"type": "websocket.send", "text": "shared"},
        {"type": "websocket.close", "code": 4000, "reason": "bye"},
    ]
    assert scene.server.sent[3] is not frame.data[0][0]  # type: ignore[index] # made by the framing
    assert scene.peer.calls == [("lost", 4000, "bye")]


async def test_idle_wire_has_no_task_but_its_reader(scene: Scene) -> None:
    """The task that writes ends when nothing waits, and another comes with the next write."""
    for text in ("a", "b"):
        scene.write(text)
        await settled()
        assert len(other_tasks()) == 1

    assert scene.server.messages == ["a", "b"]


async def test_peer_is_paused_above_the_bound_and_resumed_at_a_quarter(scene: Scene) -> None:
    """What `send` has not taken counts; the frames of the write that filled it are taken."""
    scene.server.gate = asyncio.Event()
    scene.write("x" * 50, "y" * 50)
    assert scene.peer.calls == []
    scene.write("z")
    scene.write("more")
    await settled()
    assert scene.peer.calls == [("paused",)]
    assert scene.wire.unsent() == 105

    scene.server.gate.set()
    await settled()

    assert scene.peer.calls == [("paused",), ("resumed",)]
    assert scene.wire.unsent() == 0
    assert len(scene.server.messages) == 4


async def test_peer_may_write_within_resumed(scene: Scene) -> None:
    """An outbox that is written out goes behind what was written before, and may fill the wire again."""

    def write_once() -> None:
        scene.peer.on_resumed = None
        scene.write("b" * 200)

    scene.peer.on_resumed = write_once
    scene.write("a" * 101, "c")
    await settled()

    assert [m[0] for m in scene.server.messages] == ["a", "c", "b"]
    assert [call[0] for call in scene.peer.calls] == ["paused", "resumed", "paused", "resumed"]


async def test_send_that_raises_ends_the_connection(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Servers differ in what they raise once the client has gone; each of it is the end, and no error of ours."""
    scene.server.fails = OSError("gone")
    with caplog.at_level(logging.DEBUG):
        scene.write("a", "b")
        await settled()

    assert scene.peer.calls == [("lost", 1006, "")]
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    scene.write("late")
    await settled()
    assert scene.server.sent == []


# ── Reading ──


async def test_messages_are_received_in_order(scene: Scene) -> None:
    """Texts as text, bytes as bytes, whichever way the server spells the missing one."""
    scene.server.hears("a", b"b")
    scene.server.says(
        {"type": "websocket.receive", "text": "c", "bytes": None},
        {"type": "websocket.receive", "text": None, "bytes": b"d"},
        {"type": "something.else"},
    )
    await settled()

    assert scene.peer.calls == [("received", "a"), ("received", b"b"), ("received", "c"), ("received", b"d")]


async def test_client_that_floods_leaves_the_loop_to_the_others() -> None:
    """However many messages are there at once, other tasks get their turn between them."""

    async def flood() -> dict[str, object]:
        return {"type": "websocket.receive", "text": "x"}

    peer = FakePeer()
    wire = AsgiWire(peer, flood, Server().send, extensions={}, max_buffer_bytes=100)
    wire.start()
    received: list[int] = []
    for _ in range(5):
        await passes()
        received.append(len(peer.calls))
    wire.abort()
    await settled()

    assert 0 < received[0] < received[-1] < 10_000


async def test_peer_is_not_called_before_a_later_pass() -> None:
    """A connection is ready before its first message, also when that has come already."""
    scene = Scene()
    scene.server.hears("a")
    assert scene.peer.calls == []
    await settled()

    assert scene.peer.calls == [("received", "a")]
    scene.wire.abort()
    await settled()


async def test_reading_stops_and_goes_on(scene: Scene) -> None:
    """While reading is stopped `receive` is not called, so that the server holds its client back."""
    scene.peer.on_received = scene.wire.stop_reading
    scene.server.hears("a", "b")
    await settled()
    scene.wire.stop_reading()
    assert scene.server.taken == 1

    scene.peer.on_received = None
    scene.wire.start_reading()
    scene.wire.start_reading()
    await settled()

    assert scene.server.taken == 2
    assert len(scene.peer.calls) == 2


async def test_reading_that_stops_again_at_once(scene: Scene) -> None:
    """A stop right behind a start holds."""
    scene.peer.on_received = scene.wire.stop_reading
    scene.server.hears("a", "b")
    await settled()
    scene.wire.start_reading()
    scene.wire.stop_reading()
    await settled()

    assert scene.server.taken == 1


@pytest.mark.parametrize(
    ("event", "lost"),
    [
        ({"code": 1001, "reason": "bye"}, (1001, "bye")),
        ({"code": 1000}, (1000, "")),
        ({"code": None, "reason": None}, (1005, "")),
        ({}, (1005, "")),
    ],
)
async def test_end_of_the_socket_is_told_once(
    scene: Scene, event: dict[str, object], lost: tuple[int, str]
) -> None:
    """Code and reason are the server's words; without a code there was none (RFC 6455 §7.4.1, 1005)."""
    scene.server.says({"type": "websocket.disconnect", **event})
    await settled()

    assert scene.peer.calls == [("lost", *lost)]


async def test_receive_that_raises_ends_the_connection(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose `receive` fails is a bug that the log shows, and the connection is over."""
    scene.server.says(RuntimeError("server bug"))
    await settled()

    assert scene.peer.calls == [("lost", 1006, "")]
    assert "server bug" in caplog.text


# ── Ending ──


async def test_after_close_nothing_is_written(scene: Scene) -> None:
    """Data after a close frame would break the protocol."""
    scene.wire.close(1000, "")
    scene.write("late")
    await settled()

    assert scene.server.types == ["close"]


async def test_close_starts_a_reading_that_was_stopped(scene: Scene) -> None:
    """Otherwise the server's word of the end would never be heard."""
    scene.wire.stop_reading()
    await settled()
    scene.wire.close(1000, "bye")
    await settled()

    assert scene.peer.calls == [("lost", 1000, "bye")]


@pytest.mark.parametrize(("linger_s", "time"), [(None, 10), (2.0, 2)])
async def test_close_that_nobody_answers_ends_by_itself(
    scene: Scene, linger_s: float | None, time: float
) -> None:
    """Not every server tells of the end after a close; the linger, or ten seconds, bound the wait."""
    scene.server.answers_close = False
    began = now()
    scene.wire.close(4003, "stale", linger_s=linger_s)
    await after(time - 0.1)
    assert scene.peer.calls == []

    await after(0.2)

    assert scene.peer.calls == [("lost", 4003, "stale")]
    assert now() - began == pytest.approx(time + 0.1)


async def test_close_with_linger_drops_what_waits(scene: Scene) -> None:
    """Letting go: what `send` holds is behind us, the queue is dropped, the close comes next."""
    scene.server.gate = asyncio.Event()
    scene.write("a", "b", "c")
    await settled()
    scene.wire.close(4000, "slow", linger_s=2.0)
    scene.server.gate.set()
    await settled()

    assert scene.server.messages == ["a"]
    assert scene.server.types == ["send", "close"]


async def test_client_that_does_not_read_its_close_is_given_up(scene: Scene) -> None:
    """A `send` that never returns is cancelled when the linger is over: the task ends."""
    scene.server.gate = asyncio.Event()
    scene.write("a")
    await settled()
    scene.wire.close(4000, "slow", linger_s=2.0)
    await after(2.1)

    assert scene.peer.calls == [("lost", 4000, "slow")]
    assert scene.server.sent == []
    assert scene.server.sending == 0


@pytest.mark.parametrize("has_extension", [True, False])
async def test_refusal_is_a_response_where_the_server_can(has_extension: bool) -> None:
    """With the extension the client sees status and body, without it the server's own 403."""
    scene = Scene(extensions={"websocket.http.response": {}} if has_extension else {})
    scene.wire.refuse(404, b"no such room", [(b"a", b"b")])
    scene.write("late")
    await settled()

    if has_extension:
        assert scene.server.sent == [
            {"type": "websocket.http.response.start", "status": 404, "headers": [(b"a", b"b")]},
            {"type": "websocket.http.response.body", "body": b"no such room"},
        ]
    else:
        assert scene.server.sent == [{"type": "websocket.close"}]
    assert scene.peer.calls == [("lost", 1006, "")]


async def test_abort_ends_at_once(scene: Scene) -> None:
    """Nothing more is sent or received, and a second abort does nothing."""
    scene.write("a")
    scene.wire.abort()
    scene.wire.abort()
    scene.server.hears("late")
    await settled()

    assert scene.peer.calls == [("lost", 1006, "")]
    assert scene.server.sent == []


async def test_ended_waits_for_the_end(scene: Scene) -> None:
    """The ASGI call lasts as long as the socket."""
    waiting = asyncio.ensure_future(scene.wire.ended())
    await settled()
    assert not waiting.done()

    scene.server.loses(1001)
    await waiting

    assert scene.peer.calls == [("lost", 1001, "")]


async def test_call_that_is_cancelled_ends_the_connection(scene: Scene) -> None:
    """The server is tearing the call down: its socket is gone."""
    waiting = asyncio.ensure_future(scene.wire.ended())
    await settled()
    waiting.cancel()
    await settled()

    assert waiting.cancelled()
    assert scene.peer.calls == [("lost", 1006, "")]


async def test_wire_supervises_itself(scene: Scene) -> None:
    """Pings are the server's; asking for one does nothing."""
    scene.wire.ping()
    await settled()

    assert scene.wire.supervises is True
    assert scene.server.sent == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks come with Python 3.12")
async def test_wire_works_with_an_eager_task_factory() -> None:
    """An application may make all tasks of its loop eager; a write that is done at once must not block the next."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    scene = Scene()
    for text in ("a", "b"):
        scene.write(text)
        await settled()

    assert scene.server.messages == ["a", "b"]
    scene.wire.abort()
    await settled()
