"""Adoption over real sockets: what a hub gets, in which order, and what is left of the ASGI call."""

from __future__ import annotations

import asyncio
import gc
import sys
import types
from typing import Any

import pytest

from roomful.core.errors import InvalidState
from roomful.core.ports import Message
from roomful.server import EXTENSION, FRAMING, WebSocketProtocol
from roomful.server.asgi import AsgiCall
from roomful.server.handshake import Handshake
from tests.server.apps import Receive, Scope, Send
from tests.server.peers import Adopting, FakePeer
from tests.server.serving import PATIENCE_S, RawClient, masked, raw_request, serve, until, upgrade_request


@pytest.mark.parametrize("accept", ["asgi", "wire"])
async def test_adopted_socket_outlives_the_call(accept: str) -> None:
    peer = FakePeer(echo=True)
    app = Adopting(peer, accept=accept)
    async with serve(app) as served:
        client = await RawClient.open(served)
        await app.until_adopted()
        await until(lambda: not served.state.tasks)
        client.send(masked("text", b"a") + masked("binary", b"b"))
        assert [await client.frame(), await client.frame()] == [(0x81, b"a"), (0x82, b"b")]
        client.send(masked("close", b"\x0f\xa0bye"))
        assert await client.frame() == (0x88, b"\x0f\xa0bye")
        assert await peer.until_lost() == (4000, "bye")
        assert await client.end() == b""
    assert peer.log == ["a", b"b", (4000, "bye")]
    assert peer.heards >= 2


async def test_idle_adopted_connection_keeps_nothing_of_its_birth() -> None:
    """No scope, no call, no handshake, no parser, no timer: DESIGN §5.7."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        await until(lambda: not served.state.tasks)
        client.send(masked("text", b"a"))
        await until(lambda: peer.messages)
        gc.collect()
        left = [one for one in gc.get_objects() if isinstance(one, AsgiCall | Handshake)]
        assert left == []
        (wire,) = served.ours()
        assert not hasattr(wire, "__dict__")
        assert (wire._handshake, wire._parser, wire._backlog, wire._pongs, wire._timer) == (None,) * 5


async def test_write_is_the_transports_own_method() -> None:
    """No wrapper stands in the way of a fan-out: DESIGN §5.2."""
    app = Adopting(FakePeer())
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        assert isinstance(wire.write, types.MethodType | types.BuiltinMethodType)
        assert wire.write.__name__ == "write"
        assert not isinstance(getattr(wire.write, "__self__", None), WebSocketProtocol)
        assert wire.framing is FRAMING
        assert wire.supervises is False
        await client.leave()


async def test_messages_before_the_adoption_come_first() -> None:
    """Also those that ASGI had queued, and behind them those that the socket still held."""

    class App(Adopting):
        async def before_adoption(self) -> None:
            (wire,) = served.ours()
            await until(lambda: wire._stopped)

    peer = FakePeer()
    app = App(peer, accept="asgi", take=1)
    async with serve(app, ws_max_queue=3) as served:
        client = await RawClient.open(served)
        client.send(b"".join(masked("text", str(i).encode()) for i in range(10)))
        await app.until_adopted()
        client.send(masked("text", b"10"))
        await until(lambda: len(peer.messages) == 10)
    assert [message["text"] for message in app.taken] == ["0"]
    assert peer.messages == [str(i) for i in range(1, 11)]


async def test_peer_that_stops_reading_gets_nothing_until_it_starts() -> None:
    """The message under way is the last; what has come already waits as bytes, the rest in the client."""
    peer = FakePeer(stop_after=2)
    app = Adopting(peer, accept="asgi")
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        client.send(b"".join(masked("text", str(i).encode()) for i in range(6)))
        await until(lambda: peer.messages)
        for _ in range(10):
            await asyncio.sleep(0)
        assert peer.messages == ["0", "1"]
        wire.start_reading()
        assert peer.messages == ["0", "1"], "start_reading does not call back before it returns"
        await until(lambda: len(peer.messages) > 2)
        assert peer.messages == ["0", "1", "2"]
        peer.stop_after = None
        wire.start_reading()
        wire.start_reading()
        await until(lambda: len(peer.messages) == 6)
        client.send(masked("text", b"6"))
        await until(lambda: len(peer.messages) == 7)
    assert peer.messages == [str(i) for i in range(7)]


async def test_stop_and_start_inside_received() -> None:
    class Peer(FakePeer):
        def received(self, message: str | bytes) -> None:
            super().received(message)
            assert self.wire is not None
            self.wire.stop_reading()
            self.wire.start_reading()

    peer = Peer()
    async with serve(Adopting(peer)) as served:
        client = await RawClient.open(served)
        client.send(b"".join(masked("text", str(i).encode()) for i in range(50)) + masked("close"))
        assert await peer.until_lost() == (1005, "")
    assert peer.messages == [str(i) for i in range(50)]


async def test_adopting_twice_is_refused() -> None:
    class App(Adopting):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.handle = scope["extensions"][EXTENSION]
            assert self.handle.framing is FRAMING
            await super().__call__(scope, receive, send)

        async def after_adoption(self, receive: Receive, send: Send) -> None:
            with pytest.raises(InvalidState, match="has been adopted already"):
                self.handle.adopt(FakePeer())
            with pytest.raises(InvalidState, match="was adopted"):
                await receive()
            with pytest.raises(InvalidState, match="was adopted"):
                await send({"type": "websocket.accept"})
            checked.set()

    checked = asyncio.Event()
    async with serve(App(FakePeer())) as served:
        client = await RawClient.open(served)
        async with asyncio.timeout(PATIENCE_S):
            await checked.wait()
        await client.leave()


async def test_receive_that_waits_ends_with_the_adoption() -> None:
    errors: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0)
        peer.wire = scope["extensions"][EXTENSION].adopt(peer)
        errors.extend(error for error in await asyncio.gather(waiting, return_exceptions=True) if error)

    peer = FakePeer()
    async with serve(app) as served:
        client = await RawClient.open(served)
        await until(lambda: errors)
        await client.leave()
    assert [type(error) for error in errors] == [InvalidState]


@pytest.mark.parametrize(
    "message", [{"type": "websocket.close"}, {"type": "websocket.http.response.start", "status": 400}]
)
async def test_adopting_what_was_refused_is_refused(message: dict[str, Any]) -> None:
    errors: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(message)
        try:
            scope["extensions"][EXTENSION].adopt(FakePeer())
        except InvalidState as error:
            errors.append(error)

    async with serve(app) as served:
        await raw_request(served, upgrade_request())
        await served.until_empty()
    assert len(errors) == 1


async def test_client_that_left_before_the_adoption_is_told_once() -> None:
    """Not before `adopt` has returned, however long ago it was."""

    class App(Adopting):
        async def before_adoption(self) -> None:
            await until(lambda: not served.state.connections)

        async def after_adoption(self, receive: Receive, send: Send) -> None:
            assert self.peer.lost_with is None

    peer = FakePeer()
    app = App(peer, accept="asgi")
    async with serve(app) as served:
        client = await RawClient.open(served)
        client.send(masked("close", b"\x03\xe8x"))
        await client.leave()
        assert await peer.until_lost() == (1000, "x")
        wire = await app.until_adopted()
        wire.accept(None, [])
        wire.refuse(400, b"", [])
        wire.close(1000, "")
        wire.abort()


async def test_accept_through_the_wire() -> None:
    peer = FakePeer()

    class App(Adopting):
        async def after_adoption(self, receive: Receive, send: Send) -> None:
            assert self.peer.wire is not None
            self.peer.wire.accept("chat", [(b"x-a", b"1")])
            with pytest.raises(InvalidState, match="accepted already"):
                self.peer.wire.accept(None, [])
            with pytest.raises(InvalidState, match="accepted already"):
                self.peer.wire.refuse(400, b"", [])

    async with serve(App(peer, accept="nobody")) as served:
        status, headers, _ = await raw_request(served, upgrade_request())
    assert status == 101
    assert headers["sec-websocket-protocol"] == "chat"
    assert headers["x-a"] == "1"


@pytest.mark.parametrize(("how", "status"), [("refuse", 429), ("close", 403)])
async def test_refuse_through_the_wire(how: str, status: int) -> None:
    """`lost` follows, with 1006: there never was a WebSocket."""

    class App(Adopting):
        async def after_adoption(self, receive: Receive, send: Send) -> None:
            wire = self.peer.wire
            assert wire is not None
            if how == "refuse":
                wire.refuse(429, b"later", [(b"retry-after", b"1")])
            else:
                wire.close(4000, "no")
            assert self.peer.lost_with is None

    peer = FakePeer()
    async with serve(App(peer, accept="nobody")) as served:
        got = await raw_request(served, upgrade_request())
        assert await peer.until_lost() == (1006, "")
    assert got[0] == status
    assert got[2] == (b"later" if how == "refuse" else b"")


@pytest.mark.parametrize(("accept", "lost"), [("wire", (1011, "")), ("nobody", (1011, ""))])
async def test_call_that_raises_after_the_adoption_ends_the_connection(
    accept: str, lost: tuple[int, str]
) -> None:
    """Clean-up that fails is a failure like any other, and nobody is left to answer for the socket."""

    class App(Adopting):
        async def after_adoption(self, receive: Receive, send: Send) -> None:
            raise ValueError("in clean-up")

    peer = FakePeer()
    async with serve(App(peer, accept=accept)) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        status, _, _ = await client.response()
        if accept == "wire":
            assert status == 101
            assert await client.close_code() == 1011
        else:
            assert status == 500
        assert await peer.until_lost() == lost


async def test_close_of_ours_tells_our_code_once_the_client_answers() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        wire.close(4321, "enough")
        wire.close(1000, "again")
        assert peer.lost_with is None
        assert await client.frame() == (0x88, b"\x10\xe1enough")
        client.send(masked("text", b"ignored") + masked("ping") + masked("close", b"\x03\xe8other"))
        assert await peer.until_lost() == (4321, "enough")
        assert await client.end() == b""
    assert peer.messages == []


async def test_close_while_reading_is_stopped_still_hears_the_answer() -> None:
    peer = FakePeer(stop_after=1)
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        client.send(masked("text", b"1") + masked("text", b"2"))
        await until(lambda: peer.messages)
        wire.close(4000, "")
        assert await client.close_code() == 4000
        client.send(masked("close", b"\x0f\xa0"))
        assert await peer.until_lost() == (4000, "")
    assert peer.messages == ["1"]


async def test_peer_cannot_stop_what_is_closing() -> None:
    """The client's answer must be seen."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        wire.close(4000, "")
        wire.stop_reading()
        assert await client.close_code() == 4000
        client.send(masked("close", b"\x0f\xa0"))
        assert await peer.until_lost() == (4000, "")


async def test_peer_may_abort_or_close_inside_received() -> None:
    """What came behind that message is not delivered."""

    class Peer(FakePeer):
        def received(self, message: str | bytes) -> None:
            super().received(message)
            assert self.wire is not None
            if message == "abort":
                self.wire.abort()
            else:
                self.wire.close(4000, "")

    for word, code in (("abort", 1006), ("close", 4000)):
        peer = Peer()
        async with serve(Adopting(peer)) as served:
            client = await RawClient.open(served)
            client.send(
                masked("text", word.encode()) + masked("text", b"late") + masked("close", b"\x0f\xa0")
            )
            assert (await peer.until_lost())[0] == code
        assert peer.messages == [word]


async def test_client_that_never_answers_a_close_is_aborted_in_time() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        wire.close(4000, "", linger_s=0.02)
        assert await client.close_code() == 4000
        assert await peer.until_lost() == (1006, "")
        assert await client.end() == b""


async def test_second_close_may_shorten_the_wait() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        await RawClient.open(served)
        wire = await app.until_adopted()
        wire.close(4000, "")
        wire.close(4000, "", linger_s=0.02)
        assert await peer.until_lost() == (1006, "")


async def test_abort_drops_everything_at_once() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        wire.abort()
        assert peer.lost_with is None, "lost is not called from inside a call of the peer's"
        assert await peer.until_lost() == (1006, "")
        assert await client.end() == b""
        wire.abort()


async def test_stuck_reader_is_told_to_the_peer_and_let_go() -> None:
    """Pausing is synchronous; what was written goes first, then the close frame; after the linger time, nothing."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served, receive_buffer=4096)
        wire = await app.until_adopted()
        frame = FRAMING.frame([Message(is_text=False, data=bytes(65_536))])
        while "paused" not in peer.log:
            wire.write(FRAMING.join([frame]))
        assert wire.unsent() > 0
        wire.close(4000, "slow", linger_s=0.05)
        assert await peer.until_lost() == (1006, "")
        await served.until_empty()
        client.drop()


async def test_slow_reader_that_reads_on_sees_the_close_code() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served, receive_buffer=4096)
        wire = await app.until_adopted()
        frame = FRAMING.frame([Message(is_text=False, data=bytes(65_536))])
        while "paused" not in peer.log:
            wire.write(FRAMING.join([frame]))
        wire.close(4000, "slow", linger_s=PATIENCE_S)
        assert await client.close_code() == 4000
        client.send(masked("close", b"\x0f\xa0slow"))
        assert await peer.until_lost() == (4000, "slow")
    assert "resumed" in peer.log


async def test_peer_that_adopts_a_full_transport_learns_of_it() -> None:
    class App(Adopting):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.send = send
            await super().__call__(scope, receive, send)

        async def before_adoption(self) -> None:
            (wire,) = served.ours()
            while wire._writable:
                await self.send({"type": "websocket.send", "bytes": bytes(65_536)})

        async def after_adoption(self, receive: Receive, send: Send) -> None:
            assert self.peer.log == []

    peer = FakePeer()
    app = App(peer, accept="asgi")
    async with serve(app) as served:
        client = await RawClient.open(served, receive_buffer=4096)
        await until(lambda: peer.log)
        assert peer.log == ["paused"]
        reading = asyncio.create_task(client.close_code())
        await until(lambda: "resumed" in peer.log)
        wire = await app.until_adopted()
        wire.close(1000, "")
        assert await reading == 1000


async def test_ping_asks_and_the_pong_is_heard() -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        wire.ping()
        assert await client.frame() == (0x89, b"")
        before = peer.heards
        client.send(masked("pong"))
        await until(lambda: peer.heards > before)
    assert peer.messages == []


async def test_lost_socket_takes_calls_without_harm() -> None:
    """A hub may learn of the end later than the socket."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served:
        client = await RawClient.open(served)
        wire = await app.until_adopted()
        client.drop()
        await served.until_empty()
        wire.ping()
        wire.stop_reading()
        wire.start_reading()
        wire.close(1000, "")
        wire.abort()
        assert wire.unsent() == 0
    assert peer.lost_with == (1006, "")
    assert "LOST" in repr(wire)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop 0.23 cannot call such a factory on Python 3.13
async def test_eager_call_adopts_before_uvicorn_has_set_the_protocol() -> None:
    """With an eager task factory the whole call runs inside `data_received` of the request."""
    peer = FakePeer(echo=True)
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # 3.12
    async with serve(Adopting(peer)) as served:
        client = await RawClient.open(served)
        client.send(masked("text", b"a"))
        assert await client.text() == "a"
        client.send(masked("close"))
        assert await peer.until_lost() == (1005, "")
