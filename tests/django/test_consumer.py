"""The native consumer, sessions and threads in a Django project."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from roomful import Event, Hub, Refuse, on
from roomful.django import Consumer, SessionAuth, get_hub
from roomful.testing import Refused, connect
from tests.django.settings import DATABASE


@pytest.fixture(scope="module", autouse=True)
def database() -> Iterator[None]:
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()
    DATABASE.unlink(missing_ok=True)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    with override_settings(ROOMFUL={"AUTH": "roomful.django.SessionAuth", "DATABASE_THREADS": 2}):
        async with get_hub():
            yield get_hub()


def _logged_in(name: str) -> tuple[Any, str]:
    users = get_user_model().objects
    user = users.filter(username=name).first() or users.create_user(name, password=name)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    connections.close_all()
    return user, session.session_key


class Mine(Consumer):
    async def connect(self) -> None:
        if self.principal.is_anonymous:
            raise Refuse(401)
        self.username = self.scope["user"].get_username()
        await self.join(f"of.{self.principal.id}")

    @on("count")
    async def count(self) -> int:
        found: int = await get_user_model().objects.filter(username=self.username).acount()
        return found

    @on("thread")
    def thread(self) -> str:
        found = get_user_model().objects.get(username=self.username)
        return f"{threading.current_thread().name} {found.username}"

    async def disconnect(self, code: int) -> None:
        await get_user_model().objects.filter(username=self.username).aexists()


async def test_who_has_logged_in_is_known_and_its_handlers_use_the_orm(hub: Hub) -> None:
    user, key = await sync_to_async(_logged_in)("ada")
    headers = {"cookie": f"other=1; sessionid={key}"}
    async with connect(Mine.as_asgi(), "/ws", headers=headers) as client:
        await client.send(Event("count"), id=1)
        assert (await client.receive_reply(1)).data == 1
        await client.send(Event("thread"), id=2)
        thread, name = (await client.receive_reply(2)).data.split()
        assert thread.startswith("roomful-lane-")
        assert name == "ada"
        await hub.push(f"of.{user.pk}", Event("hello", 7))
        assert (await client.receive_event("hello")).data == 7


@pytest.mark.parametrize("cookie", ["", "sessionid=nobody", "sessionid=", "a=b; sessionid=\x00", "]["])
async def test_nobody_is_known_without_a_session_that_holds(cookie: str, hub: Hub) -> None:
    with pytest.raises(Refused) as refused:
        async with connect(Mine.as_asgi(), "/ws", headers={"cookie": cookie}):
            pass
    assert refused.value.status == 401


async def test_a_session_without_a_user_is_nobodys(hub: Hub) -> None:
    def make() -> str:
        session = SessionStore()
        session["cart"] = 7
        session.create()
        connections.close_all()
        key: str = session.session_key
        return key

    key = await sync_to_async(make)()
    found = await SessionAuth().authenticate({"headers": [(b"cookie", f"sessionid={key}".encode())]})
    assert found is None


async def test_the_connection_ends_with_the_session(hub: Hub) -> None:
    user, key = await sync_to_async(_logged_in)("bob")
    scope: dict[str, Any] = {"headers": [(b"cookie", f"sessionid={key}".encode())]}
    principal = await SessionAuth().authenticate(scope)
    assert principal is not None
    assert (principal.id, principal.claims["username"]) == (str(user.pk), "bob")
    assert principal.expires_at is not None
    assert scope["user"] == user


async def test_without_a_hub_of_its_own_a_consumer_has_that_of_the_setting(hub: Hub) -> None:
    assert Mine.as_asgi().hub is hub
    other = Hub()
    assert Mine.as_asgi(hub=other).hub is other


async def _thread() -> str:
    name: str = await sync_to_async(lambda: threading.current_thread().name)()
    return name


class Asking(Consumer):
    @on("thread")
    async def thread(self) -> str:
        return await _thread()

    async def connect(self) -> None:
        self.connected_in = await _thread()

    @on("connected")
    async def connected(self) -> str:
        return self.connected_in


class Raw(Consumer, owns_wire=True):
    async def receive(self, message: str) -> None:
        await self.send(await _thread())


async def test_handlers_with_async_def_have_a_lane_too() -> None:
    async with Hub() as hub, connect(Asking.as_asgi(hub=hub), "/ws") as client:
        for id, type in enumerate(("thread", "connected"), 1):
            await client.send(Event(type), id=id)
            assert (await client.receive_reply(id)).data.startswith("roomful-lane-")


async def test_so_has_receive_of_who_owns_the_wire() -> None:
    async with Hub() as hub, connect(Raw.as_asgi(hub=hub), "/ws") as client:
        await client.send("x")
        assert str((await client.receive()).raw).startswith("roomful-lane-")
