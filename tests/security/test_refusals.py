"""Refusals that arrive: a status, a body and headers before the handshake; a code after it, for pages."""

from __future__ import annotations

from typing import Any

import pytest

from roomful import Admission, Consumer, Hub, JwtAuth, Refuse
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import ConnectionClosed, Refused
from tests.auth.keys import SECRET, token
from tests.security.door import Echo, bearer, opened, request

CASES = {
    "401": ({}, {}, 401, 4500),
    "403 origin": ({}, {"Origin": "https://evil.example", **bearer(token())}, 403, 4501),
    "403 application": ({}, {"x-case": "403", **bearer(token())}, 403, 4501),
    "404": ({}, {"x-case": "404", **bearer(token())}, 404, 4503),
    "429": ({"max_per_principal": 1}, bearer(token()), 429, 1013),
    "503": ({"max_connections": 1}, bearer(token(sub="bob")), 503, 1013),
}


class Picky(Echo):
    """Refuses whom a header tells it to."""

    async def connect(self) -> None:
        for name, value in self.scope["headers"]:
            if name == b"x-case":
                raise Refuse(int(value), "not for you")
        await super().connect()


def hub_with(**rules: Any) -> Hub:
    return Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"]), admission=Admission(retry_after_s=7, **rules))


@pytest.mark.parametrize("case", CASES)
async def test_refusal_is_a_response(transport: str, case: str) -> None:
    """With its status, a sentence, and when to come back where that is known."""
    rules, headers, status, _ = CASES[case]
    async with (
        opened(transport, hub_with(**rules), Picky) as door,
        door.connect(headers=bearer(token())) as first,
    ):
        await first.receive()
        with pytest.raises(Refused) as refused:
            await door.connect(headers=headers).__aenter__()

    error = refused.value
    assert error.status == status
    assert error.body.endswith(b"\n")
    assert error.headers["content-type"] == "text/plain; charset=utf-8"
    assert error.headers.get("retry-after") == ("7" if status in (429, 503) else None)


@pytest.mark.parametrize("case", CASES)
async def test_refusal_can_be_a_code(transport: str, case: str) -> None:
    """By setting the connection is accepted first and closed with the code that says the same."""
    rules, headers, _, code = CASES[case]
    async with (
        opened(transport, hub_with(tell_browsers=True, **rules), Picky) as door,
        door.connect(headers=bearer(token())) as first,
    ):
        await first.receive()
        async with door.connect(headers=headers) as second:
            with pytest.raises(ConnectionClosed) as closed:
                await second.receive()

    assert closed.value.code == code
    assert second.close_reason


async def test_path_that_leads_nowhere_is_404(transport: str) -> None:
    """The router says so by itself."""
    hub = Hub()
    app = ProtocolTypeRouter({"websocket": URLRouter([route("/here", Echo.as_asgi(hub=hub))])}, hub=hub)
    async with opened(transport, hub, app=app) as door:
        with pytest.raises(Refused) as refused:
            await door.connect("/there").__aenter__()

    assert refused.value.status == 404


async def test_middleware_refuses_likewise(transport: str) -> None:
    """As a response, or as a code by its own setting."""
    for tell_browsers in (False, True):
        hub = Hub()
        guarded = JwtAuth(
            Echo.as_asgi(hub=hub), key=SECRET, algorithms=["HS256"], tell_browsers=tell_browsers
        )
        async with opened(transport, hub, app=ProtocolTypeRouter({"websocket": guarded}, hub=hub)) as door:
            if tell_browsers:
                async with door.connect() as client:
                    with pytest.raises(ConnectionClosed) as closed:
                        await client.receive()
                assert closed.value.code == 4500
            else:
                with pytest.raises(Refused) as refused:
                    await door.connect().__aenter__()
                assert refused.value.status == 401


async def test_plain_http_client_reads_a_refusal(transport: str) -> None:
    """Whoever speaks HTTP only sees a complete response."""
    async with opened(transport, hub_with()) as door:
        status, headers, body = await request(
            door.port,
            "GET / HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13",
        )

    assert (status, body) == (401, b"credential is missing\n")
    assert headers["www-authenticate"] == "Bearer"


async def test_refused_handshake_makes_no_consumer(transport: str) -> None:
    """Nothing of the application runs for somebody who may not come in."""
    made: list[object] = []

    class Counted(Consumer):
        def __init__(self) -> None:
            made.append(self)

    async with opened(transport, hub_with(), Counted) as door:
        with pytest.raises(Refused):
            await door.connect().__aenter__()

    assert made == []
