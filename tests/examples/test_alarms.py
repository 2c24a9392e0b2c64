"""The alarms example on a real server: each user's own, and nobody else's."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.examples.serving import Server, Talker, serve_app

OTHER_KEY = "a key that is long enough and is not the one of the server"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_app("examples.alarms.app:app") as server:
        yield server


def post(server: Server, path: str, body: Any, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    asked = urllib.request.Request(f"{server.http}{path}", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)


def log_in(server: Server, user: str) -> str:
    token: str = post(server, "/login", {"user": user})["token"]
    return token


def listen(server: Server, user_id: str, token: str | None) -> Any:
    protocols = None if token is None else [Subprotocol("roomful"), Subprotocol(f"roomful.token.{token}")]
    return connect(f"{server.ws}/ws/alarms/{user_id}", subprotocols=protocols)


async def ended(connection: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        await connection.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def test_alarm_reaches_its_user_on_every_page(server: Server) -> None:
    """And not somebody else; who was away for a moment gets it too."""
    ada, bob = log_in(server, "ada"), log_in(server, "bob")
    async with (
        listen(server, "ada", ada) as one,
        listen(server, "ada", ada) as two,
        listen(server, "bob", bob) as other,
    ):
        pages = [Talker(one), Talker(two), Talker(other)]
        where = [await page.next() for page in pages]
        post(server, "/alarms/ada", {"text": "The kettle boils"}, bob)
        post(server, "/alarms/bob", {"text": "The tea is ready"}, ada)

        for page in pages[:2]:
            assert (await page.next())["data"] == {"by": "bob", "text": "The kettle boils"}
        assert (await pages[2].next())["data"] == {"by": "ada", "text": "The tea is ready"}
        assert one.subprotocol == "roomful"

    resume = urllib.request.quote(json.dumps({"alarms:ada": where[0]["pos"]}))  # type: ignore[attr-defined] # re-exported
    async with listen(server, f"ada?resume={resume}", ada) as again:
        assert (await Talker(again).next())["data"]["text"] == "The kettle boils"


async def test_only_the_user_listens(server: Server) -> None:
    """Nobody, somebody else, and who has made a token of their own."""
    forged = jwt.encode({"sub": "ada", "iss": "alarms", "exp": 4102444800}, OTHER_KEY, algorithm="HS256")
    for token, code in ((None, 4500), (forged, 4500), (log_in(server, "bob"), 4501)):
        async with listen(server, "ada", token) as connection:
            assert await ended(connection) == code


@pytest.mark.parametrize(
    ("path", "body", "who", "status"),
    [
        ("/alarms/ada", {"text": "x"}, None, 401),
        ("/alarms/ada", {"text": "x"}, "forged", 401),
        ("/alarms/ada", {"text": " "}, "bob", 422),
        ("/alarms/a%20b", {"text": "x"}, "bob", 422),
        ("/login", {"user": "a:b"}, None, 422),
    ],
)
def test_request_that_does_not_fit_is_refused(
    path: str, body: Any, who: str | None, status: int, server: Server
) -> None:
    """The API asks for the same tokens, and for names that fit into a room's."""
    token = "forged" if who == "forged" else log_in(server, who) if who else ""
    with pytest.raises(HTTPError) as refused:
        post(server, path, body, token)

    with refused.value as answer:
        assert answer.code == status


async def test_page_that_talks_is_told_that_nobody_listens(server: Server) -> None:
    """It may refresh its token, and nothing else."""
    token = log_in(server, "ada")
    async with listen(server, "ada", token) as connection:
        page = Talker(connection)
        await page.next()
        assert (await page.ask("alarm", {"text": "x"}))["error"]["code"] == "not_listening"
        assert (await page.ask("roomful.refresh", {"token": log_in(server, "ada")}))["data"][
            "expires_in"
        ] > 800
