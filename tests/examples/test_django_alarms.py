"""The Django project on real servers: the same tests on ours, on uvicorn's own classes and on Daphne."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.cookies import SimpleCookie
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from tests.examples.serving import ROOT, Server, running

MANAGE = ROOT / "examples" / "django_alarms" / "manage.py"
APPLICATION = "examples.django_alarms.project.asgi:application"
COMMANDS = {
    "roomful": [sys.executable, "-m", "roomful", "serve", APPLICATION],
    "uvicorn": [sys.executable, "-m", "uvicorn", APPLICATION],
    "daphne": [sys.executable, "-m", "tests.examples.daphne_server", APPLICATION],
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database with people, to be copied."""
    path: Path = tmp_path_factory.mktemp("alarms") / "people.sqlite3"
    environment = {**os.environ, "ALARMS_DATABASE": str(path)}
    subprocess.run([sys.executable, MANAGE, "demo"], check=True, env=environment)
    return path


@pytest.fixture(
    scope="module",
    params=[
        "roomful",
        pytest.param("uvicorn", marks=pytest.mark.slow),
        pytest.param("daphne", marks=pytest.mark.slow),
    ],
)
def server(request: pytest.FixtureRequest, database: Path) -> Iterator[Server]:
    if request.param == "daphne" and find_spec("daphne") is None:
        pytest.skip("Daphne is not installed")
    copy = database.with_name(f"{request.param}.sqlite3")
    shutil.copyfile(database, copy)
    environment = {"ALARMS_DATABASE": str(copy)}
    with running(COMMANDS[request.param], environment) as server:
        yield server


class Person:
    """Somebody with a browser's cookies."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.http = httpx2.Client(base_url=server.http, trust_env=False, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def log_in(self) -> Self:
        page = self.http.get("/login/").text
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        fields = {"username": self.name, "password": self.name, "csrfmiddlewaretoken": token}
        response = self.http.post("/login/", data=fields, headers={"referer": self.server.http})
        assert f"Alarms of {self.name}" in response.text
        return self

    def raise_alarm(self, user_id: int, text: str) -> None:
        """Save an alarm in the admin."""
        page = self.http.get("/admin/alarms/alarm/add/").text
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
        fields = {"user": user_id, "level": "danger", "text": text, "csrfmiddlewaretoken": token}
        response = self.http.post("/admin/alarms/alarm/add/", data=fields)
        assert "was added successfully" in response.text

    def socket(self, path: str, **options: Any) -> connect:
        cookies = SimpleCookie({cookie.name: cookie.value for cookie in self.http.cookies.jar})
        header = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
        return connect(
            self.server.ws + path,
            additional_headers={"cookie": header},
            origin=self.server.http,  # type: ignore[arg-type] # a text of the right form
            **options,
        )

    def token(self) -> str:
        response = self.http.post("/token/", data={"username": self.name, "password": self.name})
        token: str = response.json()["token"]
        return token


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Person]:
    with Person(server, "admin") as person:
        yield person.log_in()


@pytest.fixture(scope="module")
def ada(server: Server) -> Iterator[Person]:
    with Person(server, "ada") as person:
        yield person.log_in()


async def frame(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await socket.recv())
    return found


ADA, BOB = 2, 3


async def test_an_alarm_that_is_saved_in_the_admin_reaches_its_user_and_nobody_else(
    admin: Person, ada: Person, server: Server
) -> None:
    with Person(server, "bob") as bob:
        bob.log_in()
        async with ada.socket("/ws/alarms/") as hers, bob.socket("/ws/alarms/") as his:
            for socket in (hers, his):
                assert (await frame(socket))["type"] == "roomful.joined"
                assert (await frame(socket))["type"] == "alarms"
            admin.raise_alarm(BOB, "for Bob")
            admin.raise_alarm(ADA, "for Ada")
            assert (await frame(hers))["data"]["text"] == "for Ada"
            assert (await frame(his))["data"]["text"] == "for Bob"


async def test_who_was_offline_gets_what_it_missed(admin: Person, ada: Person) -> None:
    async with ada.socket("/ws/alarms/") as socket:
        joined = await frame(socket)
        assert (await frame(socket))["type"] == "alarms"
    for text in ("one", "two"):
        admin.raise_alarm(ADA, text)
    resume = json.dumps({joined["room"]: joined["pos"]}, separators=(",", ":"))
    async with ada.socket(f"/ws/alarms/?resume={resume}") as socket:
        frames = [await frame(socket) for _ in range(3)]
    assert [found["data"]["text"] for found in frames if found["type"] == "alarm"] == ["one", "two"]
    assert [found["recovered"] for found in frames if found["type"] == "roomful.joined"] == [True]


async def test_who_comes_first_gets_the_latest_from_the_database(admin: Person, ada: Person) -> None:
    admin.raise_alarm(ADA, "before")
    async with ada.socket("/ws/alarms/") as socket:
        assert (await frame(socket))["type"] == "roomful.joined"
        assert (await frame(socket))["data"][0]["text"] == "before"


async def test_a_program_comes_in_with_a_token(admin: Person, ada: Person, server: Server) -> None:
    headers = {"authorization": f"Bearer {ada.token()}"}
    async with connect(f"{server.ws}/ws/alarms/", additional_headers=headers) as socket:
        assert (await frame(socket))["room"] == f"alarms.{ADA}"
        assert (await frame(socket))["type"] == "alarms"
        admin.raise_alarm(ADA, "for the program")
        assert (await frame(socket))["data"]["text"] == "for the program"


async def test_the_consumer_that_came_from_channels_gets_them_too(admin: Person, ada: Person) -> None:
    async with ada.socket(f"/ws/alarms/{ADA}/") as socket:
        admin.raise_alarm(ADA, "in the group")
        assert (await frame(socket))["text"] == "in the group"


@pytest.mark.parametrize("path", ["/ws/alarms/", f"/ws/alarms/{ADA}/"])
async def test_nobody_comes_in_without_a_login(path: str, server: Server) -> None:
    with pytest.raises(InvalidHandshake):
        await connect(server.ws + path, origin=server.http)  # type: ignore[arg-type] # as above


@pytest.mark.parametrize("path", ["/ws/alarms/", f"/ws/alarms/{ADA}/"])
async def test_no_page_of_another_site_comes_in(path: str, ada: Person) -> None:
    with pytest.raises(InvalidHandshake):
        await connect(
            ada.server.ws + path,
            additional_headers={"cookie": f"alarms_session={ada.http.cookies['alarms_session']}"},
            origin="https://evil.example",  # type: ignore[arg-type] # as above
        )


async def test_nobody_gets_the_alarms_of_another_by_their_address(ada: Person) -> None:
    with pytest.raises(InvalidHandshake):
        await ada.socket(f"/ws/alarms/{BOB}/")


def test_a_wrong_password_gets_no_token(server: Server) -> None:
    with httpx2.Client(base_url=server.http, trust_env=False) as http:
        assert http.post("/token/", data={"username": "ada", "password": "x"}).status_code == 401
