"""`http`: heads of requests are bounded in size and in time, and everything else is uvicorn's."""

from __future__ import annotations

from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomful.server import http
from roomful.server.http import HttpProtocol
from tests.server.apps import Receive, Scope, Send, echo
from tests.server.serving import RawClient, masked, raw_request, serve, until, upgrade_request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
NAME = "roomful.server.http:HttpProtocol"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
        return
    size = 0
    while (message := await receive())["more_body"]:
        size += len(message["body"])
    body = b"%d" % (size + len(message["body"]))
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


def test_methods_that_httptools_calls_are_still_those() -> None:
    """The class is uvicorn's own and no promise of its; a change must be seen here."""
    for name in (
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_headers_complete",
    ):
        assert callable(getattr(HttpToolsProtocol, name)), name
        assert getattr(HttpProtocol, name) is not getattr(HttpToolsProtocol, name)


async def test_requests_bodies_and_upgrades_are_as_before() -> None:
    """Also on one connection, one after another, and with a body that is larger than any head may be."""
    async with serve(hello, http=NAME) as served:
        client = await RawClient.dial(served)
        for _ in range(3):
            client.send(GET)
            assert (await client.response())[2] == b"0"
            body = bytes(500_000)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await client.response())[2] == b"500000"
        client.send(upgrade_request())
        assert (await client.response())[0] == 101
        client.send(masked("text", b"a"))
        assert await client.text() == "a"


@pytest.mark.parametrize("head", [b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
@pytest.mark.parametrize("before", [b"", GET])
async def test_endless_head_is_refused(before: bytes, head: bytes) -> None:
    """Many lines or one long one, in the first request or a later one."""
    async with serve(hello, http=NAME) as served:
        client = await RawClient.dial(served)
        if before:
            client.send(before)
            assert (await client.response())[0] == 200
        client.send(b"GET / HTTP/1.1\r\nX-B: ")
        sent = 0
        while not client.reader.at_eof() and sent < 10_000_000:
            client.send(head)
            sent += len(head)
            try:
                await client.writer.drain()
            except ConnectionError:
                break
        assert sent < 5_000_000
        await served.until_empty()


async def test_head_just_over_the_limit_gets_its_status() -> None:
    async with serve(hello, http=NAME) as served:
        client = await RawClient.dial(served)
        client.send(b"GET / HTTP/1.1\r\nX-B: ")
        await until(lambda: any(getattr(one, "_head_began", False) for one in served.state.connections))
        client.send(b"a" * (http.MAX_HEAD_BYTES + 1))
        status, headers, _ = await client.response()
        assert status == 431
        assert headers["connection"] == "close"


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (upgrade_request()[:-2], b"HTTP/1.1 408 Request Timeout")]
)
async def test_slow_head_is_ended(sent: bytes, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says nothing is closed; one in the middle of its handshake is told 408."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.05)
    async with serve(hello, http=NAME) as served:
        client = await RawClient.dial(served)
        client.send(sent)
        assert (await client.end()).split(b"\r\n")[0] == answer
        await served.until_empty()


async def test_timer_ends_with_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a WebSocket nor a connection that is kept alive is cut off."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.05)
    async with serve(hello, http=NAME) as served:
        kept, upgraded = await RawClient.dial(served), await RawClient.open(served)
        kept.send(GET)
        assert (await kept.response())[0] == 200
        watch = await RawClient.dial(served)
        assert await watch.end() == b"", "its time is over, and so would be that of the others"
        upgraded.send(masked("text", b"a"))
        assert await upgraded.text() == "a"
        kept.send(GET)
        assert (await kept.response())[0] == 200


async def test_bad_request_is_still_uvicorns() -> None:
    async with serve(hello, http=NAME) as served:
        got: Any = await raw_request(served, b"NONSENSE\r\n\r\n")
        assert got[0] == 400
