"""Refusals that arrive: a status, a body and headers before the handshake; a code after it, for pages."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocketException

from roomful import Admission, Consumer, Hub, JwtAuth, Limits, Principal, Refuse
from roomful.auth import Query, Subprotocol
from roomful.core.access import SCOPE_PRINCIPAL
from roomful.endpoint import TellBrowsers
from roomful.fastapi import consumer_route
from roomful.routing import ProtocolTypeRouter, URLRouter, route
from roomful.testing import ConnectionClosed, Refused
from tests.auth.keys import SECRET, token
from tests.security.door import Echo, bearer, offer, opened, request, until_closed

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


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (["chat.v2", "chat.v1"], "chat.v2"),
        (["chat.v2", "roomful"], "roomful"),
        (["roomful.token.forged", "chat.v1"], "chat.v1"),
    ],
)
@pytest.mark.parametrize("case", ["nobody", "elsewhere", "refused", "closed", "late"])
async def test_code_reaches_a_page_that_offers_subprotocols(
    transport: str, case: str, offered: list[str], answered: str
) -> None:
    """A browser hears no code unless one of them is answered, whoever refuses; a secret among them never is."""

    class Guarded(Consumer):
        async def connect(self) -> None:
            if case == "refused":
                raise Refuse(404, "nothing here")
            if case == "late":
                await asyncio.Event().wait()
            await self.close(4444, "closed")

    auth = JwtAuth(key=SECRET, algorithms=["HS256"]) if case == "nobody" or "forged" in offered[0] else ()
    hub = Hub(
        auth=auth,
        admission=Admission(tell_browsers=True, anonymous=case != "nobody"),
        limits=Limits(handshake_timeout_s=0.05),
    )
    if "forged" in offered[0]:
        case = "nobody"
    async with (
        opened(transport, hub, Guarded) as door,
        door.connect("/nowhere" if case == "elsewhere" else "/", subprotocols=offered) as client,
    ):
        _, code, _ = await until_closed(client)

    assert code == {"nobody": 4500, "elsewhere": 4503, "refused": 4503, "closed": 4444, "late": 1013}[case]
    assert client.accepted_subprotocol == answered


@pytest.mark.parametrize("offered", ["a b", "(", "é", ",", "a b, chat.v1"])
async def test_subprotocol_that_is_none_disturbs_no_refusal(transport: str, offered: str) -> None:
    """What cannot stand in an answer is not answered, and is no reason for the server to fail."""
    async with opened(transport, hub_with(tell_browsers=True)) as door:
        status, headers = await offer(door, offered)

    # A server may find fault with the header itself.
    assert status in (101, 400, None)
    assert headers.get("sec-websocket-protocol") in (None, "chat.v1")


async def test_our_subprotocol_is_answered_wherever_it_is_offered(transport: str) -> None:
    """A page that is written for tokens works where none is asked for; other names are the application's to choose."""
    for hub in (
        Hub(),
        Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"]), admission=Admission(anonymous=True)),
    ):
        async with opened(transport, hub) as door:
            for offered, answered in ((["roomful", "x"], "roomful"), (["x"], None), ([], None)):
                async with door.connect(subprotocols=offered) as client:
                    await client.receive()
                    assert client.accepted_subprotocol == answered


async def test_path_that_leads_nowhere_is_404(transport: str) -> None:
    """The router says so by itself."""
    hub = Hub()
    app = ProtocolTypeRouter({"websocket": URLRouter([route("/here", Echo.as_asgi(hub=hub))])}, hub=hub)
    async with opened(transport, hub, app=app) as door:
        with pytest.raises(Refused) as refused:
            await door.connect("/there").__aenter__()

    assert refused.value.status == 404


async def test_path_that_leads_nowhere_is_told_to_pages_too(transport: str) -> None:
    """Where the hub tells browsers, so does the router; around an application of any kind it is middleware."""
    hub = Hub(admission=Admission(tell_browsers=True))
    async with opened(transport, hub) as door, door.connect("/there") as client:
        assert await until_closed(client) == ([], 4503, "not found")


async def test_whatever_fastapi_refuses_is_told_to_pages(transport: str) -> None:
    """A path without a route, an `HTTPException` with its detail, a `WebSocketException` with its own code."""
    hub = Hub(admission=Admission(tell_browsers=True))
    app = FastAPI(lifespan=hub.lifespan)
    app.add_middleware(TellBrowsers, hub=hub)  # type: ignore[arg-type] # Starlette's own shape of a middleware

    async def refuses(why: str) -> None:
        if why == "http":
            raise HTTPException(401, "who are you?")
        if why == "socket":
            raise WebSocketException(4444, "not you")

    @consumer_route(app, "/outside/{why}", hub=hub, dependencies=[Depends(refuses)])
    class Outside(Echo):
        pass

    @consumer_route(app, "/inside/{why}", hub=hub)
    class Inside(Consumer):
        async def connect(self, asked: Annotated[None, Depends(refuses)]) -> None:
            await self.accept()

    seen = {}
    async with opened(transport, hub, app=app) as door:
        for path in ("/nowhere", "/outside/http", "/outside/socket", "/inside/http", "/outside/no"):
            async with door.connect(path, subprotocols=["chat.v1"]) as client:
                if path == "/outside/no":
                    assert (await client.receive()).type == "hello"
                    continue
                seen[path] = (*(await until_closed(client))[1:], client.accepted_subprotocol)

    assert seen == {
        "/nowhere": (4501, "", "chat.v1"),
        "/outside/http": (4500, "who are you?", "chat.v1"),
        "/outside/socket": (4444, "not you", "chat.v1"),
        "/inside/http": (4500, "who are you?", "chat.v1"),
    }


@pytest.mark.parametrize(
    ("case", "end"),
    [
        ("nobody", (4500, "credential is missing")),
        ("refused", (4503, "not for you")),
        ("late", (1013, "handshake timed out")),
        ("nowhere", (4503, "not found")),
    ],
)
async def test_middleware_alone_tells_pages_all_of_it(
    transport: str, case: str, end: tuple[int, str]
) -> None:
    """Whatever refuses within, on a server that hands its socket over too, where no middleware sees what is sent."""

    class Guarded(Consumer):
        async def connect(self) -> None:
            if case == "refused":
                raise Refuse(404, "not for you")
            await asyncio.Event().wait()

    hub = Hub(
        auth=JwtAuth(key=SECRET, algorithms=["HS256"]),
        limits=Limits(handshake_timeout_s=0.05),
    )
    inner = ProtocolTypeRouter({"websocket": URLRouter([route("/", Guarded.as_asgi(hub=hub))])}, hub=hub)
    headers = {} if case == "nobody" else bearer(token())
    async with (
        opened(transport, hub, app=TellBrowsers(inner)) as door,
        door.connect(
            "/nowhere" if case == "nowhere" else "/", headers=headers, subprotocols=["x", "roomful"]
        ) as client,
    ):
        _, *ended = await until_closed(client)

    assert (*ended, client.accepted_subprotocol) == (*end, "roomful")


@pytest.mark.parametrize(
    ("around", "offered", "answered"),
    [
        ("router", ["bearer.secret", "chat.v1"], "chat.v1"),
        ("router", ["bearer.secret"], None),
        ("hub", ["bearer.secret", "chat.v1"], "chat.v1"),
        ("nothing", ["bearer.secret", "chat.v1"], None),
        ("nothing", ["bearer.secret", "roomful"], "roomful"),
    ],
)
async def test_secret_is_not_answered_where_nobody_looked_for_it(
    transport: str, around: str, offered: list[str], answered: str | None
) -> None:
    """On a path that leads nowhere no authenticator has taken it out, and its prefix is the application's own."""
    auth = JwtAuth(key=SECRET, algorithms=["HS256"], sources=[Subprotocol(prefix="bearer.")])
    hub = Hub(auth=auth, admission=Admission(tell_browsers=around == "router"))
    app: Any = ProtocolTypeRouter({"websocket": URLRouter([route("/", Echo.as_asgi(hub=hub))])}, hub=hub)
    if around != "router":
        app = TellBrowsers(app, hub=hub if around == "hub" else None)
    async with (
        opened(transport, hub, app=app) as door,
        door.connect("/nowhere", subprotocols=offered) as client,
    ):
        assert (await until_closed(client))[1] == 4503

    assert client.accepted_subprotocol == answered


async def test_secret_of_an_authenticator_that_was_not_asked_is_not_answered(transport: str) -> None:
    """The first one knows who it is; what was meant for the second is a secret all the same."""
    hub = Hub(
        auth=[
            JwtAuth(key=SECRET, algorithms=["HS256"]),
            JwtAuth(key=SECRET, algorithms=["HS256"], sources=[Subprotocol(prefix="bearer.")]),
        ]
    )
    for others, answered in (([], None), (["chat.v1"], "chat.v1")):
        offered = ["bearer.secret", f"roomful.token.{token()}", *others]
        async with opened(transport, hub) as door, door.connect(subprotocols=offered) as client:
            await client.receive()
            assert client.accepted_subprotocol == answered


async def test_secret_is_not_answered_where_middleware_knows_who_it_is(transport: str) -> None:
    """The hub's own authenticator is not asked then, and knows what would have been a secret."""

    class Refusing(Consumer):
        async def connect(self) -> None:
            raise Refuse(403, "not you")

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        scope[SCOPE_PRINCIPAL] = Principal("ann")
        await app(scope, receive, send)

    hub = Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"], sources=[Subprotocol(prefix="bearer.")]))
    app = Refusing.as_asgi(hub=hub)
    tell = ProtocolTypeRouter({"websocket": TellBrowsers(outer, hub=hub)}, hub=hub)
    async with (
        opened(transport, hub, app=tell) as door,
        door.connect(subprotocols=["bearer.secret"]) as client,
    ):
        assert (await until_closed(client))[1] == 4501

    assert client.accepted_subprotocol is None


async def test_secrets_are_taken_out_where_the_hub_cannot_serve() -> None:
    """The server writes the address into its log, and the page is answered one of its subprotocols."""
    sources = [Query("token"), Subprotocol(prefix="bearer.")]
    hub = Hub(
        auth=JwtAuth(key=SECRET, algorithms=["HS256"], sources=sources),
        admission=Admission(tell_browsers=True),
    )
    await hub.close()
    scope = {
        "type": "websocket",
        "path": "/",
        "query_string": b"token=secret",
        "subprotocols": ["bearer.secret"],
        "headers": [(b"sec-websocket-protocol", b"bearer.secret")],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await Echo.as_asgi(hub=hub)(scope, receive, send)

    assert [event["type"] for event in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1013
    assert "secret" not in f"{sent} {scope}"


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
