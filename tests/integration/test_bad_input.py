"""What bad input gets: an error that names the rule, and a connection that lives unless the protocol forbids it."""

from collections.abc import Mapping

import pytest

from roomful import Consumer, Event, EventTypeError, Limits, NotEncodable, RoomNameError, TooManyRooms, on
from roomful.testing import Client, ConnectionClosed

from .conftest import Serve
from .transports import NetworkClient


class Poster(Consumer):
    """Takes posts, and nothing else."""

    async def connect(self) -> None:
        await self.join("room")

    @on("post")
    async def post(self, data: Mapping[str, int]) -> None:
        await self.hub.push("room", Event("post", data))

    @on("image")
    async def image(self, data: bytes) -> int:
        return len(data)


async def post_and_see(client: Client) -> None:
    """See that a connection is a member still, and works."""
    await client.send(Event("post", {"n": 1}))
    await client.receive_event("post")


@pytest.mark.parametrize(
    ("message", "code", "problem", "reply"),
    [
        ("", "invalid_json", "not valid JSON", None),
        ("{", "invalid_json", "not valid JSON", None),
        ("\x00", "invalid_json", "not valid JSON", None),
        ('{"type":"post","data":' + "[" * 100_000, "invalid_json", "not valid JSON", None),
        ("[]", "invalid_message", "Expected `object`, got `array`", None),
        ("{}", "invalid_message", "missing required field `type`", None),
        ('{"type":null}', "invalid_message", "Expected `str`, got `null` - at `message.type`", None),
        ('{"type":5,"id":"x"}', "invalid_message", "Expected `str`, got `int` - at `message.type`", "x"),
        ('{"type":"post","id":[]}', "invalid_message", "at `message.id`", None),
        ('{"type":"post","id":1.5}', "invalid_message", "at `message.id`", None),
        (
            '{"type":"post","id":"' + "x" * 201 + '"}',
            "invalid_message",
            "length <= 200 - at `message.id`",
            None,
        ),
        ('{"type":"post","data":{"n":"x"},"id":1}', "invalid_message", "at `data[...]`", 1),
        ('{"type":"post","data":[],"id":1}', "invalid_message", "Expected `object`, got `array`", 1),
        ('{"type":"post","id":1}', "invalid_message", "Expected `object`, got `null`", 1),
        ('{"type":"roomful.joined","id":1}', "reserved_type", "'roomful.', which is reserved", 1),
        ('{"type":"roomful.","id":1}', "reserved_type", "reserved", 1),
        ('{"type":"connect","id":1}', "unknown_type", "'connect' is not known here", 1),
        ('{"type":"close","id":1}', "unknown_type", "'close' is not known here", 1),
        ('{"type":"","id":1}', "unknown_type", "'' is not known here", 1),
        ('{"type":"' + "x" * 5000 + '"}', "unknown_type", "x' is not known here", None),
        ("\ud7ff" * 10, "invalid_json", "not valid JSON", None),
        (b"", "invalid_message", "binary event has no header", None),
        (b"\x00", "invalid_message", "binary event has no header", None),
        (b"\x00\x09{}", "invalid_message", "binary event is 4 bytes; its header ends at 11", None),
        (b"\x00\x01{abc", "invalid_json", "header is not valid JSON", None),
        (b"\x00\x02{}abc", "invalid_message", "missing required field `type`", None),
        (b'\x00\x0e{"type":"nil"}', "unknown_type", "'nil' is not known here", None),
        (b'\x00\x17{"type":"post","id":"x"}', "invalid_json", "header is not valid JSON", None),
        (
            b'\x00\x18{"type":"post","id":"x"}',
            "invalid_message",
            "data is binary; this event takes JSON",
            "x",
        ),
        (b'\x00\x0f{"type":"\xff\xff\xff\xff"}', "invalid_json", "header is not valid JSON", None),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_bad_message_gets_an_error_and_the_connection_lives(
    serve: Serve, message: str | bytes, code: str, problem: str, reply: object
) -> None:
    """The error names what was wrong, carries the id where one could be read, and nobody else is disturbed."""
    site = await serve(Poster)

    async with site.connect() as bad, site.connect() as other:
        await bad.receive_event("roomful.joined")
        await other.receive_event("roomful.joined")
        await bad.send(message)
        error = await bad.receive_error(code)
        await post_and_see(bad)
        await other.receive_event("post")

    assert error.error is not None
    assert problem in error.error.message
    assert len(error.error.message) < 300
    assert error.reply == reply
    assert error.type == ("roomful.error" if reply is None else None)


async def test_message_above_the_limit_closes_with_1009(serve: Serve) -> None:
    """A message of just the limit passes; one byte more ends its own connection, and no other."""
    site = await serve(Poster, limits=Limits(max_message_bytes=100_000), ws_max_size=100_000)
    header = b'\x00\x17{"type":"image","id":1}'

    async with site.connect() as big, site.connect() as other:
        await other.receive_event("roomful.joined")
        await big.receive_event("roomful.joined")
        await big.send(header + bytes(100_000 - len(header)))
        assert (await big.receive_reply(1)).data == 100_000 - len(header)
        await big.send(header + bytes(100_001 - len(header)))
        assert await big.wait_closed() == 1009
        await post_and_see(other)


async def test_limit_of_the_hub_holds_below_that_of_the_server(serve: Serve) -> None:
    """The hub's own limit needs no setting of the server; characters count as the bytes that they take."""
    site = await serve(Poster, limits=Limits(max_message_bytes=50_000))

    async with site.connect() as client:
        await client.send("é" * 25_001)
        assert await client.wait_closed() == 1009


async def test_text_that_is_not_utf8_closes_with_1007(serve_network: Serve) -> None:
    """The protocol demands it (RFC 6455 §8.1)."""
    site = await serve_network(Poster)

    async with site.connect() as bad, site.connect() as other:
        assert isinstance(bad, NetworkClient)
        await other.receive_event("roomful.joined")
        await bad.receive_event("roomful.joined")
        await bad.connection.send(b'{"type":"\xff"}', text=True)
        # uvicorn's wsproto class lets the error of its parser through, which drops the connection.
        assert await bad.wait_closed() == (1006 if site.transport == "wsproto" else 1007)
        await post_and_see(other)


@pytest.mark.parametrize(
    ("room", "problem"),
    [
        ("", "is empty"),
        ("x" * 201, "is 201 bytes; the limit is 200"),
        ("é" * 101, "is 202 bytes; the limit is 200"),
        ("a\nb", "not printable"),
        ("a\x00b", "not printable"),
        ("\ud800", "not printable"),
    ],
    ids=ascii,
)
async def test_bad_room_name_is_an_error_for_the_caller(serve: Serve, room: str, problem: str) -> None:
    """`push`, `join` and the rest refuse it; the connection on which it happened lives."""

    class Joiner(Consumer):
        @on("join")
        async def enter(self) -> str:
            with pytest.raises(RoomNameError, match=problem):
                await self.join(room)
            with pytest.raises(RoomNameError, match=problem):
                await self.leave(room)
            return "refused"

    site = await serve(Joiner)
    with pytest.raises(RoomNameError, match=problem):
        await site.hub.push(room, Event("x"))
    async with site.connect() as client:
        await client.send(Event("join"), id=1)
        assert (await client.receive_reply(1)).data == "refused"


async def test_bad_event_is_an_error_for_the_caller(serve: Serve) -> None:
    """What cannot be written is refused before it is numbered."""
    site = await serve(Poster)

    with pytest.raises(EventTypeError, match="reserved"):
        Event("roomful.joined")
    async with site.connect() as client:
        joined = await client.receive_event("roomful.joined")
        for data in (object(), {"x": {1: object()}}, "\ud800"):
            with pytest.raises(NotEncodable):
                await site.hub.push("room", Event("x", data))
        with pytest.raises(NotEncodable):
            await site.hub.push("room", "\ud800")
        with pytest.raises(TypeError, match="expected Event, str or bytes"):
            await site.hub.push("room", 5)  # type: ignore[arg-type] # the mistake
        receipt = await site.hub.push("room", Event("x"))
        await client.receive_event("x")

    assert joined.pos is not None
    assert receipt.position.offset == joined.pos.offset + 1


async def test_too_many_rooms_is_an_error_for_the_caller(serve: Serve) -> None:
    """One client cannot make the hub keep rooms without end."""

    class Greedy(Consumer):
        @on("join")
        async def enter(self, data: int) -> bool:
            try:
                await self.join(f"room {data}")
            except TooManyRooms:
                return False
            return True

    site = await serve(Greedy, limits=Limits(max_rooms_per_connection=2))
    async with site.connect() as client:
        for number, expected in enumerate((True, True, False)):
            await client.send(Event("join", number), id=number)
            if expected:
                await client.receive_event("roomful.joined")
            assert (await client.receive_reply(number)).data is expected
        assert site.hub.statistics().rooms == 2


async def test_nothing_can_be_sent_after_the_end(serve: Serve) -> None:
    """A consumer that goes on after its connection has ended gets an error, not silence."""
    outcomes: list[str] = []

    class Late(Consumer):
        @on("close")
        async def close_now(self) -> None:
            await self.close(4999, "enough")
            for call in (self.send("x"), self.join("room")):
                try:
                    await call
                except ConnectionClosed as error:
                    outcomes.append(str(error))
            await self.close()

        async def disconnect(self, code: int) -> None:
            outcomes.append(f"disconnect {code}")

    site = await serve(Late)
    async with site.connect() as client:
        await client.send(Event("close"))
        assert await client.wait_closed() == 4999
    await site.idle()

    assert outcomes == ["connection is closed with code 4999"] * 2 + ["disconnect 4999"]
