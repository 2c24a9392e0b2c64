"""The nemesis' own WebSocket client: frames out of any pieces, and what it does to a server."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from roomful.testing.nemesis.wire import FrameReader, Wire, dial, frame


def from_server(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return a frame without a mask."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((final << 7 | opcode,)) + length + payload


messages = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 9]), st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]), st.booleans()
    ),
    max_size=6,
)


@given(messages, st.lists(st.integers(1, 70_000), min_size=1, max_size=5))
def test_messages_come_out_of_any_pieces(messages: list[tuple[int, int, bool]], sizes: list[int]) -> None:
    """However the stream is cut, and whether or not a message is in fragments, it comes out whole and in order."""
    stream, expected = b"", []
    for opcode, size, in_fragments in messages:
        payload = bytes(size)
        expected.append((opcode, payload))
        if in_fragments and opcode < 8:
            half = size // 2
            # A control frame may stand between fragments (RFC 6455 §5.4).
            stream += from_server(opcode, payload[:half], final=False) + from_server(10, b"between")
            stream += from_server(0, payload[half:])
            expected.insert(-1, (10, b"between"))
        else:
            stream += from_server(opcode, payload)

    reader, found, at = FrameReader(), [], 0
    turns = 0
    while at < len(stream):
        size = sizes[turns % len(sizes)]
        turns += 1
        found += reader.feed(stream[at : at + size])
        at += size

    assert found == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
async def test_frames_are_what_a_server_reads(size: int) -> None:
    """Another library's server reads what is sent, and what it sends is read."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
        wire = Wire("/", got.put_nowait)
        await dial(server.sockets[0].getsockname()[1], wire)
        assert await wire.opened(5)
        wire.send(b"x" * size)

        assert await got.get() == b"x" * size
        wire.close()
        assert await wire.ended(5)
        assert wire.close_code == 1000


@pytest.mark.parametrize("ending", ["reset", "hang_up", "close"])
async def test_server_sees_how_a_client_ends(ending: str) -> None:
    """A close frame is one; anything else is an abnormal end."""
    ended: asyncio.Queue[int] = asyncio.Queue()

    async def wait(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosed:
            await ended.put(connection.close_code or 0)

    async with serve(wait, "127.0.0.1", 0) as server:
        wire = Wire("/", lambda _: None)
        await dial(server.sockets[0].getsockname()[1], wire)
        assert await wire.opened(5)
        getattr(wire, ending)()

        assert await ended.get() == (1000 if ending == "close" else 1006)
        assert await wire.ended(5)
        assert not wire.is_open


async def test_handshake_that_is_refused_is_no_connection() -> None:
    """The client says so, and does not wait."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        wire = Wire("/", lambda _: None)
        await dial(server.sockets[0].getsockname()[1], wire)

        assert not await wire.opened(5)
        assert await wire.ended(5)


async def test_message_behind_a_close_frame_is_counted() -> None:
    """What must not come is not taken for a message (RFC 6455 §5.5.1)."""
    got: list[bytes] = []

    async def serve_wrongly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        writer.write(from_server(1, b"first") + from_server(8, b"\x0f\xa0") + from_server(1, b"behind"))
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve_wrongly, "127.0.0.1", 0) as server:
        wire = Wire("/", got.append)
        await dial(server.sockets[0].getsockname()[1], wire)
        assert await wire.ended(5)

    assert got == [b"first"]
    assert (wire.close_code, wire.surplus) == (4000, 1)


def test_length_of_a_frame_is_that_of_its_payload() -> None:
    """The three ways of RFC 6455 §5.2 to write a length."""
    assert [len(frame(1, bytes(size))) - size for size in (125, 126, 65535, 65536)] == [6, 8, 8, 14]
