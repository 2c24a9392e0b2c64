"""Tokens in a Django project: who a token names stands in the scope as the real user, loaded by a claim."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from roomful import Event, Hub, JwtAuth, Principal
from roomful.django import Consumer
from roomful.testing import Refused, connect
from tests.auth.keys import SECRET, token
from tests.django.settings import DATABASE


@pytest.fixture(scope="module", autouse=True)
def database() -> Iterator[None]:
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()
    DATABASE.unlink(missing_ok=True)


async def load_user(principal: Principal) -> object | None:
    user: object | None = (
        await get_user_model().objects.filter(username=principal.id, is_active=True).afirst()
    )
    return user


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    auth = JwtAuth(key=SECRET, algorithms=["HS256"], id_claim="username", load_user=load_user)
    async with Hub(auth=auth) as hub:
        yield hub


@sync_to_async
def make_user(name: str, *, is_active: bool = True) -> Any:
    user, _ = get_user_model().objects.get_or_create(username=name, defaults={"is_active": is_active})
    connections.close_all()
    return user


class Whose(Consumer):
    """Says whom Django knows."""

    async def connect(self) -> None:
        user = self.scope["user"]
        assert isinstance(user, get_user_model())
        await self.send(Event("hello", [user.pk, user.is_authenticated, self.principal.id]))


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


async def test_user_of_a_token_stands_in_the_scope(hub: Hub) -> None:
    """Found by the claim that is named; another claim of the same token names nobody."""
    ada = await make_user("jwt-ada")
    await make_user("jwt-bob")

    async with connect(
        Whose.as_asgi(hub=hub), "/ws", headers=bearer(username="jwt-ada", sub="jwt-bob")
    ) as one:
        assert (await one.receive()).data == [ada.pk, True, "jwt-ada"]


@pytest.mark.parametrize(
    "claims",
    [{"username": "jwt-nobody"}, {"username": "jwt-gone"}, {"sub": "jwt-ada"}],
    ids=["unknown", "not active", "other claim"],
)
async def test_token_without_a_user_is_refused(claims: dict[str, str], hub: Hub) -> None:
    """However good its signature is."""
    await make_user("jwt-gone", is_active=False)
    await make_user("jwt-ada")

    with pytest.raises(Refused) as refused:
        await connect(Whose.as_asgi(hub=hub), "/ws", headers=bearer(**claims)).__aenter__()

    assert refused.value.status == 401
