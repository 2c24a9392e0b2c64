"""The fault proxy between plain sockets: what each side sees of what is done to its connection."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful import LimitError
from roomful.testing import FaultProxy
from roomful.testing.faults import (
    Break,
    Breaking,
    Direction,
    Script,
    Weather,
    random_script,
    random_scripts,
)
from tests.integration.waiting import until

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DATA = random.Random(1).randbytes(300_000)


@asynccontextmanager
async def proxied(script: Script | Callable[[int], Script], **how: int) -> AsyncIterator[Ends]:
    """Give both ends of connections through a proxy."""
    accepted: asyncio.Queue[Stream] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1], script=script, **how) as proxy:
        ends = Ends(proxy, accepted)
        try:
            yield ends
        finally:
            for writer in ends.writers:
                writer.close()
            server.close()


class Ends:
    """Makes connections, and gives both ends of each."""

    def __init__(self, proxy: FaultProxy, accepted: asyncio.Queue[Stream]) -> None:
        self.proxy = proxy
        self.writers: list[asyncio.StreamWriter] = []
        self._accepted = accepted

    async def connect(self) -> tuple[Stream, Stream]:
        """Return the client's end and the server's."""
        client = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        server = await self._accepted.get()
        self.writers += [client[1], server[1]]
        return client, server


async def end_of(reader: asyncio.StreamReader) -> bytes | str:
    """Return what comes until the end of a stream, or that it was reset."""
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return "reset"


@pytest.mark.parametrize(
    "weather",
    [
        Weather(),
        Weather(delay_s=0.01),
        Weather(bytes_per_s=3e6),
        Weather(slice_bytes=7, sliced_bytes=5000),
        Weather(delay_s=0.01, slice_bytes=500),
    ],
    ids=str,
)
async def test_bytes_pass_unchanged_in_both_directions(weather: Weather) -> None:
    """Whatever the weather is, what arrives is what was sent, and an end is an end."""
    async with proxied(Script(to_server=weather, to_client=weather)) as ends:
        client, server = await ends.connect()
        for _, writer in (client, server):
            writer.write(DATA)
            writer.write_eof()

        assert [await end_of(reader) for reader, _ in (client, server)] == [DATA, DATA]
        await until(lambda: not ends.proxy.links)


async def test_sliced_bytes_arrive_in_pieces() -> None:
    """No piece is larger than the slice, where the receiver is quick enough to see them."""
    pieces: list[int] = []
    async with proxied(Script(to_server=Weather(slice_bytes=3, sliced_bytes=300))) as ends:
        client, server = await ends.connect()
        client[1].write(DATA[:400])
        while sum(pieces) < 400:
            pieces.append(len(await server[0].read(1000)))

    assert len(pieces) > 50


async def test_delay_holds_bytes_back() -> None:
    """Nothing arrives before its time, and all of it as late: the delay is not paid for each chunk."""
    loop = asyncio.get_running_loop()
    async with proxied(Script(to_server=Weather(delay_s=0.2))) as ends:
        client, server = await ends.connect()
        began = loop.time()
        client[1].write(DATA)
        await server[0].readexactly(1)
        first = loop.time() - began
        await server[0].readexactly(len(DATA) - 1)

    assert first >= 0.2
    assert loop.time() - began < 20 * 0.2


async def test_throttle_bounds_the_rate() -> None:
    """50 KB at 200 KB a second take a quarter of a second at least."""
    loop = asyncio.get_running_loop()
    async with proxied(Script(to_client=Weather(bytes_per_s=200_000))) as ends:
        client, server = await ends.connect()
        began = loop.time()
        server[1].write(DATA[:50_000])
        await client[0].readexactly(50_000)

    assert loop.time() - began >= 0.2


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("after", [0, 1, 777, 123_456])
@pytest.mark.parametrize("how", [Breaking.CUT, Breaking.HALF_CLOSE])
async def test_break_comes_behind_exactly_so_many_bytes(
    how: Breaking, after: int, direction: Direction
) -> None:
    """The receiver gets these bytes and then the end, however they were sent."""
    script = Script(breaks=(Break(how=how, direction=direction, after_bytes=after),))
    async with proxied(script) as ends:
        client, server = await ends.connect()
        source, target = (client, server) if direction is Direction.TO_SERVER else (server, client)
        source[1].write(DATA)

        assert await end_of(target[0]) == DATA[:after]
        if how is Breaking.CUT:
            assert await end_of(source[0]) == b""
        else:
            target[1].write(b"the other direction goes on")
            assert await source[0].readexactly(27) == b"the other direction goes on"


async def test_reset_is_seen_by_both_sides() -> None:
    """Neither side is told an orderly end."""
    script = Script(breaks=(Break(how=Breaking.RESET, direction=Direction.TO_SERVER, after_bytes=10),))
    async with proxied(script) as ends:
        client, server = await ends.connect()
        client[1].write(DATA)

        assert await end_of(client[0]) == "reset"
        assert await end_of(server[0]) == "reset"


async def test_reset_of_one_side_reaches_the_other() -> None:
    """The proxy passes on what it sees: a client that crashes is no client that ends."""
    async with proxied(Script()) as ends:
        client, server = await ends.connect()
        await until(lambda: bool(ends.proxy.links))
        client[1].transport.abort()
        # Bytes that nobody will read turn the end into a reset.
        server[1].write(DATA)

        assert await end_of(server[0]) in (b"", "reset")
        await until(lambda: not ends.proxy.links)


async def test_freeze_says_nothing_to_anybody() -> None:
    """Behind the break nothing moves in that direction, nobody is told, and the other direction goes on."""
    script = Script(breaks=(Break(how=Breaking.FREEZE, direction=Direction.TO_CLIENT, after_bytes=5),))
    async with proxied(script) as ends:
        client, server = await ends.connect()
        server[1].write(b"hello, world")
        client[1].write(b"still here")

        assert await client[0].readexactly(5) == b"hello"
        assert await server[0].readexactly(10) == b"still here"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client[0].read(1)
        ends.proxy.links[0].to_client.go_on()
        assert await client[0].readexactly(7) == b", world"


async def test_stalled_link_holds_the_sender_back() -> None:
    """A direction that is stalled fills up, and no memory grows without bound; then everything arrives."""
    async with proxied(Script(), receive_buffer_bytes=8192) as ends:
        client, server = await ends.connect()
        await until(lambda: bool(ends.proxy.links))
        flow = ends.proxy.links[0].to_client
        flow.stall()
        server[1].transport.set_write_buffer_limits(high=1000)
        sent = DATA * 40
        server[1].write(sent)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await server[1].drain()
        flow.go_on()

        assert await client[0].readexactly(len(sent)) == sent


async def test_links_can_be_broken_by_hand_while_others_live() -> None:
    """One link is cut, another reset, and a third notices nothing."""
    async with proxied(Script()) as ends:
        pairs = [await ends.connect() for _ in range(3)]
        await until(lambda: len(ends.proxy.links) == 3)
        first, second, _ = ends.proxy.links
        first.cut()
        second.reset()

        assert await end_of(pairs[0][0][0]) == b""
        assert await end_of(pairs[1][0][0]) == "reset"
        pairs[2][0][1].write(b"hello")
        assert await pairs[2][1][0].readexactly(5) == b"hello"


async def test_server_that_is_away_is_a_reset() -> None:
    """Whoever connects while nobody listens behind the proxy is told; once a server is back, others get through."""
    async with proxied(Script()) as ends:
        away, ends.proxy.server_port = ends.proxy.server_port, 1
        reader, writer = await asyncio.open_connection("127.0.0.1", ends.proxy.port)
        assert await end_of(reader) in (b"", "reset")
        writer.close()

        ends.proxy.server_port = away
        client, server = await ends.connect()
        client[1].write(b"hello")
        assert await server[0].readexactly(5) == b"hello"


async def test_leaving_the_block_ends_every_link() -> None:
    """Nothing of the proxy is left: both sides are reset, and no task runs."""
    async with proxied(Script()) as ends:
        client, server = await ends.connect()
        await until(lambda: bool(ends.proxy.links))
        await ends.proxy.__aexit__(None, None, None)

        assert await end_of(client[0]) == "reset"
        assert await end_of(server[0]) == "reset"
        assert ends.proxy.links == ()


@pytest.mark.parametrize("passes", range(8))
async def test_leaving_the_block_closes_the_sockets_of_links_that_are_ending(passes: int) -> None:
    """Whatever step of its end a link has come to."""
    async with proxied(Script()) as ends:
        await ends.connect()
        await until(lambda: bool(ends.proxy.links))
        (link,) = ends.proxy.links
        link.reset()
        for _ in range(passes):
            await asyncio.sleep(0)
        await ends.proxy.__aexit__(None, None, None)

        assert [sock.fileno() for sock in link._sockets] == [-1, -1]


@pytest.mark.parametrize("passes", range(8))
async def test_leaving_the_block_closes_the_socket_of_who_has_just_come(
    passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is carried already or not."""
    loop = asyncio.get_running_loop()
    accept, accepted = loop.sock_accept, list[socket.socket]()

    async def sock_accept(listener: socket.socket) -> tuple[socket.socket, object]:
        sock, address = await accept(listener)
        accepted.append(sock)
        return sock, address

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    async with FaultProxy(1) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port)):
            while not accepted:  # noqa: ASYNC110 -- to wake by an event takes a pass more
                await asyncio.sleep(0)
            for _ in range(passes):
                await asyncio.sleep(0)
            await proxy.__aexit__(None, None, None)

    assert [sock.fileno() for sock in accepted] == [-1]


@given(st.integers(), st.integers(0, 50))
def test_scripts_are_repeated_by_their_seed(seed: int, number: int) -> None:
    """The same seed and number give the same script."""
    assert random_scripts(seed)(number) == random_scripts(seed)(number)


@given(st.integers(), st.integers(1000, 10**7))
@settings(max_examples=300)
def test_random_script_breaks_within_its_bound(seed: int, bound: int) -> None:
    """A break lies within the bound, and in each direction there is one at most."""
    script = random_script(random.Random(seed), break_within_bytes=bound)

    assert all(0 <= a_break.after_bytes <= bound for a_break in script.breaks)
    assert len({a_break.direction for a_break in script.breaks}) == len(script.breaks)


def test_random_scripts_break_in_every_way() -> None:
    """Among some hundred scripts every way of breaking and every kind of weather occurs."""
    scripts = [random_scripts(7)(number) for number in range(300)]
    breaks = [a_break for script in scripts for a_break in script.breaks]
    weathers = [weather for script in scripts for weather in (script.to_server, script.to_client)]

    assert {(a_break.how, a_break.direction) for a_break in breaks} == {
        (how, direction) for how in Breaking for direction in Direction
    }
    assert any(weather.delay_s for weather in weathers)
    assert any(weather.bytes_per_s for weather in weathers)
    assert any(weather.slice_bytes for weather in weathers)
    assert any(not script.breaks for script in scripts)


@pytest.mark.parametrize(
    "wrong", [{"delay_s": -1}, {"delay_s": float("nan")}, {"bytes_per_s": 0}, {"slice_bytes": 0}]
)
def test_weather_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    """The text names the field."""
    with pytest.raises(LimitError, match=next(iter(wrong))):
        Weather(**wrong)  # type: ignore[arg-type] # wrong on purpose
