"""Hostile clients over real sockets: each ends with the right code or status, in bounded memory and time.

A neighbour talks all the while and notices nothing.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomful.server import handshake, wire
from tests.server.apps import Receive, Scope, Send, echo
from tests.server.peers import Adopting, FakePeer
from tests.server.serving import (
    KEY,
    PATIENCE_S,
    RawClient,
    Served,
    masked,
    raw_request,
    serve,
    until,
    upgrade_request,
)

MIB = 2**20


@asynccontextmanager
async def neighbour(served: Served) -> AsyncIterator[None]:
    """Let another client echo, one message after another, from before the attack until after it."""
    client = await RawClient.open(served)
    answered = 0
    stop = False

    async def talk() -> None:
        nonlocal answered
        while not stop:
            client.send(masked("text", b"%d" % answered))
            assert await client.text() == str(answered)
            answered += 1

    task = asyncio.create_task(talk())
    try:
        await until(lambda: answered or task.done())
        yield
        seen = answered
        await until(lambda: answered > seen or task.done())
    finally:
        stop = True
        await task


@asynccontextmanager
async def memory_below(size: int) -> AsyncIterator[None]:
    """Fail when Python's memory grows by `size` at any moment."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size
    finally:
        tracemalloc.stop()


# ── Handshakes ──


async def test_slow_handshake_holds_nobody_up() -> None:
    """One byte a pass of the loop. Until the request is whole it is uvicorn's HTTP class that waits, without limit."""
    async with serve(echo) as served, neighbour(served):
        client = await RawClient.dial(served)
        for byte in upgrade_request():
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.response())[0] == 101


async def test_handshake_that_is_never_finished_leaves_nothing() -> None:
    async with serve(echo) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request()[:-10])
        await until(lambda: served.state.connections)
        await client.leave()
        await served.until_empty()


@pytest.mark.parametrize(
    ("http", "lines", "status"),
    [
        ("httptools", [f"X-{i}: a" for i in range(200)], 431),
        ("h11", [f"X-{i}: a" for i in range(200)], 431),
        ("httptools", ["X-Long: " + "a" * 10_000], 431),
        ("h11", ["X-Long: " + "a" * 10_000], 431),
        ("h11", ["X-Long: " + "a" * 1_000_000], 400),
        ("httptools", [f"X-{i}: {'a' * 1000}" for i in range(2000)], 431),
    ],
)
async def test_flood_of_headers(http: Any, lines: list[str], status: int) -> None:
    """At most 128 lines of 8 KiB. A single request of 2 MB reaches us through httptools, which has no limit itself."""
    async with serve(echo, http=http) as served, neighbour(served):
        headers = [tuple(line.split(": ")) for line in lines]
        got = await raw_request(served, upgrade_request(headers=headers))  # type: ignore[arg-type]
        assert got[0] == status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", [("X-Name", "J\xf6rg \xff")], 101),
        ("/", [("Sec-WebSocket-Protocol", "caf\xe9")], 400),
        ("/", [("Sec-WebSocket-Protocol", "a b")], 400),
        ("/", [("Sec-WebSocket-Protocol", ",")], 400),
        ("/%ff%00", [], 101),
        ("/", [("Sec-WebSocket-Extensions", "\xff;;;=")], 101),
        ("/", [("Sec-WebSocket-Extensions", "x;" * 4000)], 101),
        ("/", [("Connection", "keep-alive, " * 600 + "Upgrade")], 101),
        ("/", [("Origin", "\xff")], 101),
        ("/", [("Sec-WebSocket-Key", KEY)], 400),
    ],
)
async def test_odd_headers(path: str, headers: list[tuple[str, str]], status: int) -> None:
    """Non-ASCII values pass as they are; what must be a token is checked; nothing takes long to read (ReDoS)."""
    async with serve(echo) as served, neighbour(served):
        async with asyncio.timeout(1):
            got = await raw_request(served, upgrade_request(path, headers))
        assert got[0] == status


async def test_subprotocol_that_the_application_passes_on() -> None:
    """An application that echoes what it was offered cannot be made to break the response."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})

    async with serve(app) as served:
        got = await raw_request(
            served, upgrade_request(headers=[("Sec-WebSocket-Protocol", "a!#$%&'*+-.^_`|~z")])
        )
    assert got[0] == 101
    assert got[1]["sec-websocket-protocol"] == "a!#$%&'*+-.^_`|~z"


# ── Frames ──


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x05hello", 1002),
        (masked("text", b"x", rsv=1), 1002),
        (b"\x8f\x80\x00\x00\x00\x00", 1002),
        (masked("close", b"\x00"), 1002),
        (masked("close", b"\x03\xee"), 1002),
        (masked("close", b"\x03\xe8\xff\xff"), 1007),
        (masked("text", b"\xc0\x80"), 1007),
        (masked("ping", bytes(126)), 1002),
        (masked("continuation"), 1002),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
    ],
)
async def test_frames_that_break_the_protocol(frames: bytes, code: int) -> None:
    """The application is told the same code, and the socket is closed by us."""
    peer = FakePeer()
    async with serve(Adopting(peer)) as served, aside(served):
        client = await RawClient.open(served, "/peer")
        client.send(frames + masked("text", b"after the end"))
        assert await client.close_code() == code
        assert await client.end() == b""
        assert (await peer.until_lost())[0] == code
    assert peer.messages == []


@asynccontextmanager
async def aside(served: Served) -> AsyncIterator[None]:
    """Let an idle neighbour's echo be served by its own server, in the same loop."""
    async with serve(echo) as other, neighbour(other):
        yield


async def test_oversized_message_is_refused_before_it_is_taken() -> None:
    """The client pushes 64 MiB; it gets 1009 while it does, and the server never holds a fraction of it."""
    async with serve(echo, ws_max_size=MIB) as served, neighbour(served):
        client = await RawClient.open(served)
        async with memory_below(4 * MIB):
            pushing = asyncio.create_task(
                push(client, b"\x82\xff" + (64 * MIB).to_bytes(8, "big") + b"mask", 64 * MIB)
            )
            assert await client.close_code() == 1009
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)


async def push(client: RawClient, head: bytes, size: int) -> None:
    client.send(head)
    piece = bytes(65_536)
    for _ in range(size // len(piece)):
        client.send(piece)
        await client.writer.drain()


async def test_announced_payload_takes_no_memory() -> None:
    """A hundred clients announce 16 MiB each, and send ten bytes."""
    async with serve(echo) as served, neighbour(served):
        clients = [await RawClient.open(served) for _ in range(100)]
        async with memory_below(2 * MIB):
            for client in clients:
                client.send(b"\x82\xff" + (16 * MIB).to_bytes(8, "big") + b"mask" + bytes(10))
            for one in served.ours():
                if one._peer.__class__.__name__ == "AsgiCall":
                    await until(lambda one=one: one._parser is not None or one._ordinary)


async def test_endless_fragments_end_at_the_limit() -> None:
    async with serve(echo, ws_max_size=MIB) as served, neighbour(served):
        client = await RawClient.open(served)
        async with memory_below(6 * MIB):
            client.send(masked("binary", final=False))
            sending = asyncio.create_task(repeat(client, masked("continuation", bytes(10_000), final=False)))
            assert await client.close_code() == 1009
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def repeat(client: RawClient, frame: bytes) -> None:
    while True:
        client.send(frame)
        await client.writer.drain()


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_tiny_fragments_take_the_memory_of_their_bytes(payload: bytes) -> None:
    """Empty ones take none at all, for as long as the client likes to send them."""
    count = 50_000
    async with serve(echo) as served, neighbour(served):
        client = await RawClient.open(served)
        frames = masked("continuation", payload, final=False) * 1000
        async with memory_below(3 * MIB):
            client.send(masked("text", final=False))
            for _ in range(count // 1000):
                client.send(frames)
                await client.writer.drain()
            client.send(masked("continuation"))
            assert await client.text() == payload.decode() * count


async def test_single_bytes_on_the_socket() -> None:
    """TCP may cut anywhere, and a client may make it."""
    data = (
        masked("text", "zwölf Boxkämpfer".encode() * 10, final=False)
        + masked("ping", b"p")
        + masked("continuation")
    )
    async with serve(echo) as served, neighbour(served):
        client = await RawClient.open(served)
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.frame() == (0x8A, b"p")
        assert await client.text() == "zwölf Boxkämpfer" * 10


async def test_flood_of_pings_is_answered_while_the_client_reads() -> None:
    count = 20_000
    async with serve(echo) as served, neighbour(served):
        client = await RawClient.open(served)
        sending = asyncio.create_task(ping(client, count))
        for number in range(count):
            assert await client.frame() == (0x8A, b"%d" % number)
        await sending


async def ping(client: RawClient, count: int) -> None:
    for number in range(count):
        client.send(masked("ping", b"%d" % number))
        if number % 500 == 0:
            await client.writer.drain()


async def test_flood_of_pings_piles_up_nothing_when_the_client_does_not_read() -> None:
    """RFC 6455 §5.5.3: only the most recent ping need be answered. So it is, once the client reads again."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served, aside(served):
        client = await RawClient.open(served, receive_buffer=4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        socket_wire = served.ours()[0]
        await app.until_adopted()
        sent = 0
        async with memory_below(8 * MIB):
            while socket_wire._writable:
                client.send(
                    b"".join(masked("ping", b"%0100d" % number) for number in range(sent, sent + 100))
                )
                await client.writer.drain()
                sent += 100
                await asyncio.sleep(0)
            heards = peer.heards
            for _ in range(100):
                client.send(
                    b"".join(masked("ping", b"%0100d" % number) for number in range(sent, sent + 1000))
                )
                await client.writer.drain()
                sent += 1000
            client.send(masked("text", b"the last"))
            await until(lambda: peer.messages)
        assert peer.heards > heards
        assert socket_wire.unsent() < 80 * 1024
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        last = b"%0100d" % (sent - 1)
        while (await client.frame()) != (0x8A, last):
            pass


# ── Ends ──


async def test_half_closed_client_has_ended() -> None:
    """Without a close frame its end of stream is 1006, and what it reads is an end too."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served, aside(served):
        client = await RawClient.open(served)
        await app.until_adopted()
        client.send(masked("text", b"last words"))
        client.writer.write_eof()
        assert await peer.until_lost() == (1006, "")
        assert await client.end() == b""
        await served.until_empty()
    assert peer.messages == ["last words"]


async def test_half_closed_client_that_does_not_read_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINGER_S", 0.05)
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served, aside(served):
        client = await RawClient.open(served, receive_buffer=4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        adopted = await app.until_adopted()
        while "paused" not in peer.log:
            adopted.write(bytes(65_536))
        client.writer.write_eof()
        assert await peer.until_lost() == (1006, "")
        await served.until_empty()


async def test_close_from_a_client_that_does_not_read_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says goodbye, and would have us keep what it never takes."""
    monkeypatch.setattr(wire, "LINGER_S", 0.05)
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served, aside(served):
        client = await RawClient.open(served, receive_buffer=4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        adopted = await app.until_adopted()
        while "paused" not in peer.log:
            adopted.write(bytes(65_536))
        client.send(masked("close", b"\x03\xe8"))
        assert await peer.until_lost() == (1000, "")
        await served.until_empty()


async def test_failed_client_that_keeps_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its code; what it sends afterwards is read to nothing, and not for long."""
    monkeypatch.setattr(wire, "LINGER_S", 0.05)
    async with serve(echo) as served, neighbour(served):
        client = await RawClient.open(served)
        client.send(b"\x81\x05hello")
        sending = asyncio.create_task(repeat(client, bytes(10_000)))
        assert await client.close_code() == 1002
        with pytest.raises(ConnectionError):
            await sending


@pytest.mark.parametrize("sent", [0, 1, 5, 9, 20])
async def test_reset_inside_a_frame(sent: int) -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app) as served, aside(served):
        client = await RawClient.open(served)
        await app.until_adopted()
        client.send(masked("binary", bytes(1000))[:sent])
        await client.writer.drain()
        client.drop()
        assert await peer.until_lost() == (1006, "")
        await served.until_empty()
    assert peer.messages == []


async def test_reset_inside_the_handshake() -> None:
    async with serve(echo) as served, aside(served):
        for length in (0, 1, 50, len(upgrade_request()) - 1, len(upgrade_request())):
            client = await RawClient.dial(served)
            client.send(upgrade_request()[:length])
            await client.writer.drain()
            client.drop()
        await served.until_empty()


async def test_noise_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    """Random bytes after a good handshake: a code, an end, no traceback."""
    rng = random.Random(7)
    async with serve(echo, ws_max_size=1000) as served, neighbour(served):
        for _ in range(60):
            client = await RawClient.open(served)
            client.send(rng.randbytes(rng.randint(1, 400)))
            client.writer.write_eof()
            await client.end()
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_waves_of_rude_clients_leave_nothing() -> None:
    """No connection, task or timer stays, whichever way they leave."""
    loop = asyncio.get_running_loop()
    rng = random.Random(1)
    async with serve(echo) as served, neighbour(served):
        for _ in range(3):
            clients = [await RawClient.open(served) for _ in range(40)]
            for client in clients:
                client.send(rng.choice((b"", masked("text", b"x"), b"\x81", masked("close"), b"\x00\x00")))
                if rng.random() < 0.5:
                    client.drop()
                else:
                    await client.leave()
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: len(served.state.connections) == 1 and len(served.state.tasks) == 1)
    if hasattr(loop, "_scheduled"):  # asyncio's own loop; uvloop shows its timers to nobody
        assert [
            timer for timer in loop._scheduled if not timer.cancelled() and "SocketWire" in repr(timer)
        ] == []


def test_long_header_value_is_read_in_linear_time() -> None:
    """Handshakes are parsed by `websockets`; its expressions must not be made to backtrack (ws CVE-2024-37890)."""
    value = ("a" * 30 + ", ") * 250
    for name in ("Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin"):
        data = upgrade_request(headers=[(name, value + "\x01"), (name, value)])
        start = time.process_time()
        with pytest.raises(handshake.HandshakeRefused):
            handshake.read_handshake(data, {}, "", ())
        assert time.process_time() - start < 0.5
