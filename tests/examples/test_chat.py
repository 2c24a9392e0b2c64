"""The chat example on a real server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from examples.chat.images import image_kind
from examples.chat.names import tidy
from tests.examples.serving import Server, Talker, chat_ticket, serve_app, unpack

MB = 1024 * 1024
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_app("examples.chat.app:app") as server:
        yield server


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room for each test, so that they share a server and nothing else."""
    return f"{hash(request.node.nodeid):x}"


@asynccontextmanager
async def enter(server: Server, room: str, name: str) -> AsyncIterator[Talker]:
    """Come in and pass over the greeting."""
    url = f"{server.ws}/ws/{quote(room, safe='')}?{chat_ticket(server, name)}"
    async with connect(url, max_size=17 * MB, compression=None) as connection:
        talker = Talker(connection)
        joined = await talker.next()
        assert ("roomful.joined", f"chat:{room}") == (joined["type"], joined["room"])
        yield talker


async def heard(talker: Talker, event_type: str) -> dict[str, Any]:
    """Return the next event of this type; positions and people who come and go are passed over."""
    while True:
        frame = await talker.next()
        if frame.get("type") == event_type:
            return frame
        assert frame.get("type") in ("roomful.position", "entered", "left"), frame


async def test_post_reaches_the_others_and_is_confirmed_to_its_sender(server: Server, room: str) -> None:
    """The others get the text with the sender's name; the sender gets the position, then the reply."""
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        assert (await heard(ada, "entered"))["data"] == {"by": "Bob"}

        await ada.tell("post", {"text": "  Hello  ", "mark": "m1"}, reply_to="m1")

        position, reply = await ada.next(), await ada.next()
        # Bob's own coming is the event before: its position may still be under way to him.
        post = await heard(bob, "post")
        assert ("roomful.position", f"chat:{room}", post["pos"]) == (
            position["type"],
            position["room"],
            position["pos"],
        )
        assert {"by": "Ada", "text": "Hello", "mark": "m1", "at": reply["data"]["at"]} == post["data"]
        assert reply["reply"] == "m1"


async def test_typing_is_told_to_the_others_only(server: Server, room: str) -> None:
    """Nobody is told that they type themselves."""
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        await heard(ada, "entered")

        await ada.tell("typing", {"active": True}, reply_to=1)

        assert [(await ada.next()).get("type") for _ in range(2)] == ["roomful.position", None]
        assert (await heard(bob, "typing"))["data"] == {"by": "Ada", "active": True}


async def test_rooms_do_not_mix(server: Server, room: str) -> None:
    """What is said in one room is not heard in another."""
    async with enter(server, room, "Ada") as ada, enter(server, f"{room} too", "Bob") as bob:
        await ada.ask("post", {"text": "only here"})
        reply = await bob.ask("post", {"text": "only there"})

        assert "at" in reply["data"]


async def test_image_arrives_byte_for_byte_with_its_sender(server: Server, room: str) -> None:
    """Eight megabytes go through as one binary event."""
    image = PNG + os.urandom(8 * MB - len(PNG))
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        reply = await ada.ask("image", image)
        header, arrived = unpack((await heard(bob, "image"))["data"])

        assert header == {"by": "Ada", "kind": "image/png"}
        assert image == arrived
        assert "at" in reply["data"]


@pytest.mark.parametrize(
    ("image", "code"),
    [(PNG + bytes(8 * MB), "too_big"), (b"<svg onload='alert(1)'/>", "no_image"), (b"", "no_image")],
    ids=["too big", "SVG", "empty"],
)
async def test_image_that_is_none_is_refused_and_nobody_sees_it(
    image: bytes, code: str, server: Server, room: str
) -> None:
    """The bytes decide, not what the client calls them; the connection lives."""
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        refused = await ada.ask("image", image)
        await ada.ask("post", {"text": "sorry"})

        assert code == refused["error"]["code"]
        assert (await heard(bob, "post"))["data"]["text"] == "sorry"


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("post", {"text": "x" * 2001}),
        ("post", {"text": "   "}),
        ("post", {"text": 7}),
        ("post", {}),
        ("post", None),
        ("post", {"text": "x", "mark": "m" * 41}),
        ("post", b"not even JSON"),
        ("typing", {"active": "perhaps"}),
        ("image", {"not": "bytes"}),
        ("close", {}),
        ("disconnect", {}),
        ("roomful.joined", {}),
    ],
)
async def test_bad_message_is_answered_and_the_connection_lives(
    event_type: str, data: object, server: Server, room: str
) -> None:
    """An error says what was wrong to its sender, and nobody else hears of it."""
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        refused = await ada.ask(event_type, data)
        await ada.ask("post", {"text": "fine"})

        assert refused["error"]["code"]
        assert refused["error"]["message"]
        assert (await heard(bob, "post"))["data"]["text"] == "fine"


@pytest.mark.parametrize(
    "message", ["", "{", "[]", '"x"', '{"type": 1}', b"", b"\0", b"\xff\xff{}", b"\0\x02{]"]
)
async def test_message_that_is_no_event_is_answered(message: str | bytes, server: Server, room: str) -> None:
    """What cannot be read has no id either: the error comes as an event."""
    async with enter(server, room, "Ada") as ada:
        await ada.connection.send(message)

        assert (await heard(ada, "roomful.error"))["type"] == "roomful.error"
        assert "at" in (await ada.ask("post", {"text": "fine"}))["data"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 25, "\u202eadA"])
def test_name_that_cannot_be_shown_gets_no_ticket(name: str, server: Server) -> None:
    """The page can ask for another one."""
    with pytest.raises(HTTPError) as refused:
        chat_ticket(server, name)

    with refused.value as answer:
        assert answer.code == 422
        assert json.load(answer)["detail"] == "a name has 1 to 24 printable characters"


@pytest.mark.parametrize(
    ("room", "with_ticket", "code"), [("x" * 41, True, 4502), ("\x07", True, 4502), ("tea", False, 4500)]
)
async def test_page_that_may_not_come_in_can_read_why(
    room: str, with_ticket: bool, code: int, server: Server
) -> None:
    """A close code instead of a refused handshake, of which a page learns nothing."""
    query = chat_ticket(server, "Ada") if with_ticket else ""
    async with connect(f"{server.ws}/ws/{quote(room)}?{query}") as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert closed.value.rcvd.reason


async def test_ticket_holds_once(server: Server, room: str) -> None:
    """Who has overheard an address cannot come in with it."""
    url = f"{server.ws}/ws/{room}?{chat_ticket(server, 'Ada')}"
    async with connect(url) as first:
        assert (await Talker(first).next())["type"] == "roomful.joined"
    async with connect(url) as second:
        with pytest.raises(ConnectionClosed) as closed:
            await second.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4500


async def test_those_who_stay_are_told_who_comes_and_goes(server: Server, room: str) -> None:
    """Also of somebody who goes without a word."""
    async with enter(server, room, "Ada") as ada:
        async with enter(server, room, "Bob"):
            assert (await heard(ada, "entered"))["data"] == {"by": "Bob"}
        assert (await heard(ada, "left"))["data"] == {"by": "Bob"}

        async with enter(server, room, "Cyd") as cyd:
            assert (await heard(ada, "entered"))["data"] == {"by": "Cyd"}
            cyd.connection.transport.abort()
            assert (await heard(ada, "left"))["data"] == {"by": "Cyd"}


async def test_who_comes_back_gets_what_was_said_meanwhile(server: Server, room: str) -> None:
    """A position of another room or of another life does no harm."""
    async with connect(f"{server.ws}/ws/{room}?{chat_ticket(server, 'Ada')}") as connection:
        ada = Talker(connection)
        joined = await ada.next()
        at = {joined["room"]: joined["pos"], "chat:x": "a:1"}
        await ada.tell("post", {"text": "hi", "mark": ""}, reply_to="1")
        await heard(ada, "roomful.position")

        async with connect(
            f"{server.ws}/ws/{room}?{chat_ticket(server, 'Bob')}&resume={quote(json.dumps(at))}"
        ) as again:
            bob = Talker(again)
            assert [(await bob.next())["type"] for _ in range(3)] == ["entered", "post", "roomful.joined"]


async def test_member_who_does_not_read_holds_nobody_up(server: Server, room: str) -> None:
    """It is let go when more images wait for it than may; the others get each of them meanwhile."""
    images = [PNG + os.urandom(8 * MB - len(PNG)) for _ in range(8)]
    async with enter(server, room, "Ada") as ada, enter(server, room, "Bob") as bob:
        stuck = await connect(
            f"{server.ws}/ws/{room}?{chat_ticket(server, 'Cyd')}", max_queue=1, compression=None
        )

        async def receive() -> tuple[list[bytes], list[str]]:
            arrived: list[bytes] = []
            gone: list[str] = []
            while len(arrived) < len(images) or not gone:
                frame = await bob.next()
                if frame["type"] == "image":
                    arrived.append(unpack(frame["data"])[1])
                elif frame["type"] == "left":
                    gone.append(frame["data"]["by"])
            return arrived, gone

        receiving = asyncio.create_task(receive())
        for image in images:
            assert "at" in (await ada.ask("image", image))["data"]

        assert await receiving == (images, ["Cyd"])
        stuck.transport.abort()


def test_image_kind_is_read_from_the_first_bytes() -> None:
    """Four kinds are images; everything else is not, and nothing is read beyond the end."""
    assert [
        image_kind(data)
        for data in (PNG, b"\xff\xd8\xff\xe0", b"GIF87a", b"GIF89a...", b"RIFF\x10\0\0\0WEBPVP8 ")
    ] == ["image/png", "image/jpeg", "image/gif", "image/gif", "image/webp"]
    assert {None} == {
        image_kind(data) for data in (b"", b"\x89PN", b"RIFF\x10\0\0\0WAVE", b"<svg>", b"BM", b"%PDF")
    }


def test_names_have_one_form() -> None:
    """Spaces are tidied, letters composed, and what cannot be seen is refused."""
    assert tidy("  Ada \t L ", 24) == "Ada L"
    assert tidy("Zoe\u0308", 24) == "Zoë"
    assert [tidy(text, 24) for text in ("", " ", "x" * 25, "a\0", "\u200b")] == [None] * 5
