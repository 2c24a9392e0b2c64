"""Tickets: fetched over HTTP, shown once, in whatever process."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from roomful import Hub, JwtAuth, NotAuthenticated, Principal, Tickets
from roomful.auth import TicketApp
from roomful.fastapi import consumer_route
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import Refused
from tests.auth.keys import SECRET, token
from tests.security.door import Door, Echo, opened, request


def bare(hub: Hub, tickets: Tickets, jwt_auth: JwtAuth) -> Any:
    return ProtocolTypeRouter(
        {
            "http": TicketApp(tickets, auth=jwt_auth),
            "websocket": URLRouter([route("/ws", Echo.as_asgi(hub=hub))]),
        },
        hub=hub,
    )


def fastapi(hub: Hub, tickets: Tickets, jwt_auth: JwtAuth) -> Any:
    app = FastAPI(lifespan=hub.lifespan)

    async def current(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
    ) -> Principal:
        try:
            return await jwt_auth.verify(credentials.credentials)
        except NotAuthenticated as error:
            raise HTTPException(401, error.message) from None

    @app.post("/ticket")
    async def ticket(principal: Annotated[Principal, Depends(current)]) -> dict[str, str]:
        return {"ticket": await tickets.issue(principal)}

    consumer_route(app, "/ws", hub=hub)(Echo)
    return app


@pytest.fixture(params=[bare, fastapi])
async def door(request: pytest.FixtureRequest, transport: str) -> AsyncIterator[Door]:
    tickets = Tickets()
    hub = Hub(auth=tickets)
    app = request.param(hub, tickets, JwtAuth(key=SECRET, algorithms=["HS256"]))
    async with opened(transport, hub, app=app) as door:
        yield door


async def fetch(door: Door, bearer: str) -> tuple[int, str]:
    status, _, body = await request(
        door.port,
        f"POST /ticket HTTP/1.1\nHost: localhost\nContent-Length: 0\nAuthorization: Bearer {bearer}",
    )
    return status, json.loads(body)["ticket"] if status == 200 else body.decode()


@pytest.mark.parametrize("place", ["query", "subprotocol"])
async def test_ticket_lets_in_once(door: Door, place: str) -> None:
    """The second handshake with it is refused."""
    _, ticket = await fetch(door, token())
    how: Any = (
        {"path": f"/ws?ticket={ticket}"}
        if place == "query"
        else {"path": "/ws", "subprotocols": ["roomful", f"roomful.ticket.{ticket}"]}
    )

    async with door.connect(**how) as client:
        assert (await client.receive()).data == "ada"
    with pytest.raises(Refused) as refused:
        await door.connect(**how).__aenter__()

    assert refused.value.status == 401


async def test_race_for_a_ticket_has_one_winner(door: Door) -> None:
    """Twenty sockets at once with one ticket."""
    _, ticket = await fetch(door, token())

    async def attempt() -> str:
        try:
            async with door.connect(f"/ws?ticket={ticket}") as client:
                return str((await client.receive()).data)
        except Refused as refused:
            return str(refused.status)

    assert sorted(await asyncio.gather(*(attempt() for _ in range(20)))) == ["401"] * 19 + ["ada"]


async def test_ticket_is_for_those_who_may_ask(door: Door) -> None:
    """A token that does not hold gets none; neither does nobody."""
    assert (await fetch(door, "guess"))[0] == 401
    status, _, _ = await request(door.port, "POST /ticket HTTP/1.1\nHost: localhost\nContent-Length: 0")

    assert status in (401, 403)


async def test_guess_is_no_ticket(door: Door) -> None:
    """Nor is nothing, nor two."""
    _, ticket = await fetch(door, token())
    for query in ("", "?ticket=", "?ticket=" + "x" * 43, f"?ticket={ticket}&ticket={ticket}"):
        with pytest.raises(Refused) as refused:
            await door.connect(f"/ws{query}").__aenter__()
        assert refused.value.status == 401
