"""The layered example from end to end: a real server, HTTP requests, and a feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from examples.layered.domain import errors
from examples.layered.web.handler.errors import STATUS
from tests.examples.serving import Server, Talker, serve_app


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve_app("examples.layered.app:app") as server:
        yield server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.http, trust_env=False) as client:
        yield client


@asynccontextmanager
async def watch(server: Server, room_id: str) -> AsyncIterator[Talker]:
    """Watch a room and pass over the greeting."""
    async with connect(f"{server.ws}/rooms/{room_id}/feed") as connection:
        talker = Talker(connection)
        assert (await talker.next())["type"] == "roomful.joined"
        yield talker


async def create(http: httpx2.AsyncClient, title: str = "Tea", capacity: int = 2) -> str:
    """Open a room and return its id."""
    response = await http.post("/rooms", json={"title": title, "capacity": capacity})
    assert response.status_code == 201
    room_id: str = response.json()["id"]
    assert f"rooms/{room_id}" == response.headers["location"]
    return room_id


async def test_watchers_are_told_what_happens_in_their_room(server: Server, http: httpx2.AsyncClient) -> None:
    """Requests come in over HTTP, events go out over the socket, in order, and to no other room."""
    room_id, other_id = await create(http), await create(http)
    async with watch(server, room_id) as ada, watch(server, room_id) as bob:
        for path, name in ((room_id, "Ada"), (other_id, "Eve"), (room_id, "Bob")):
            assert (await http.post(f"/rooms/{path}/members", json={"name": name})).status_code == 201
        assert (await http.delete(f"/rooms/{room_id}/members/Ada")).status_code == 200
        assert (await http.post(f"/rooms/{room_id}/close")).status_code == 200

        for watcher in (ada, bob):
            frames = [await watcher.next() for _ in range(4)]
            assert [(frame["type"], frame["data"]) for frame in frames] == [
                ("JOIN", {"user": "Ada"}),
                ("JOIN", {"user": "Bob"}),
                ("LEAVE", {"user": "Ada"}),
                ("CLOSE", {}),
            ]
            assert {f"room:{room_id}"} == {frame["room"] for frame in frames}
    assert {
        "id": room_id,
        "title": "Tea",
        "capacity": 2,
        "is_open": False,
        "members": ["Bob"],
    } == (await http.get(f"/rooms/{room_id}")).json()


async def test_feed_is_one_way(server: Server, http: httpx2.AsyncClient) -> None:
    """Whatever a watcher says is answered with an error, and the feed goes on."""
    room_id = await create(http)
    async with watch(server, room_id) as watcher:
        await watcher.tell("JOIN", {"user": "Mallory"})
        refused = await watcher.next()
        await http.post(f"/rooms/{room_id}/members", json={"name": "Ada"})

        assert (refused["type"], _code(refused)) == ("roomful.error", "not_listening")
        assert ((event := await watcher.next())["type"], event["data"]) == ("JOIN", {"user": "Ada"})


async def test_feed_of_no_room_is_refused(server: Server) -> None:
    """A client that is no browser is told 404 before there is a socket."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{server.ws}/rooms/nowhere/feed")

    assert refused.value.response.status_code == 404


@pytest.mark.parametrize(
    ("wish", "body", "status", "code"),
    [
        ("GET /rooms/nowhere", None, 404, "room_not_found"),
        ("POST /rooms/nowhere/members", {"name": "Ada"}, 404, "room_not_found"),
        ("POST /rooms/nowhere/close", None, 404, "room_not_found"),
        ("DELETE /rooms/{full}/members/Zoe", None, 404, "not_a_member"),
        ("POST /rooms/{full}/members", {"name": "Zoe"}, 409, "room_full"),
        ("POST /rooms/{open}/members", {"name": "Ada"}, 409, "name_taken"),
        ("POST /rooms/{closed}/members", {"name": "Ada"}, 409, "room_closed"),
        ("POST /rooms/{closed}/close", None, 409, "room_closed"),
        ("POST /rooms/{open}/members", {"name": " "}, 422, "invalid_value"),
        ("POST /rooms", {"title": "Tea", "capacity": 0}, 422, "invalid_value"),
        ("POST /rooms", {"title": "Tea"}, 422, None),
        ("POST /rooms/{open}/members", {"name": 7}, 422, None),
    ],
)
async def test_wrong_wishes_get_their_status(
    wish: str,
    body: dict[str, Any] | None,
    status: int,
    code: str | None,
    http: httpx2.AsyncClient,
) -> None:
    """A rule of the domain is a status and a code in HTTP; a wrong shape is FastAPI's own 422."""
    rooms = {"full": await create(http, capacity=1), "open": await create(http), "closed": await create(http)}
    for room in ("full", "open"):
        await http.post(f"/rooms/{rooms[room]}/members", json={"name": "Ada"})
    await http.post(f"/rooms/{rooms['closed']}/close")

    method, _, path = wish.format(**rooms).partition(" ")
    response = await http.request(method, path, json=body)

    assert status == response.status_code
    assert code == response.json().get("code")


def test_every_domain_error_has_a_status() -> None:
    """A new error of the domain cannot be forgotten in `web`."""
    assert set(errors.DomainError.__subclasses__()) == set(STATUS)


async def test_rooms_outlive_the_server_where_a_database_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is a database that ends with the server; a named one stays."""
    monkeypatch.setenv("LAYERED_DATABASE", f"sqlite+aiosqlite:///{tmp_path}/rooms.db")
    for expected in (["Tea"], ["Tea", "Tea"]):
        with serve_app("examples.layered.app:app") as server:
            async with httpx2.AsyncClient(base_url=server.http, trust_env=False) as http:
                await create(http)
                assert expected == [room["title"] for room in (await http.get("/rooms")).json()]


def _code(frame: dict[str, Any]) -> object:
    return frame["data"]["code"] if "data" in frame else frame["error"]["code"]
