"""FastAPI's and Starlette's endpoints look the same to a client over uvicorn's class and over ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.apps import frameworks
from tests.server.serving import Served, serve

OURS, THEIRS = "roomful.server:WebSocketProtocol", "websockets-sansio"


async def transcript(
    served: Served,
    path: str,
    sent: Sequence[str | bytes] = (),
    subprotocols: Sequence[Any] = (),
    leave: bool = False,
) -> dict[str, Any]:
    """Return all that a client sees: the response, the messages, the end."""
    seen: dict[str, Any] = {}
    try:
        async with connect(
            served.url(path),
            subprotocols=subprotocols or None,
            compression=None,
            additional_headers=[("X-Test", "ü")],
            user_agent_header="test",
        ) as client:
            assert client.response is not None
            seen["response"] = headers_of(client.response)
            seen["messages"] = []
            for message in sent:
                await client.send(message)
                seen["messages"].append(await client.recv())
            if leave:
                await client.close(4321, "leaving")
            while not leave:
                seen["messages"].append(await client.recv())
    except ConnectionClosed as closed:
        seen["closed"] = (closed.rcvd and (closed.rcvd.code, closed.rcvd.reason), closed.rcvd_then_sent)
    except InvalidStatus as refused:
        seen["response"] = headers_of(refused.response)
        seen["body"] = bytes(refused.response.body or b"")
    return seen


def headers_of(response: Any) -> tuple[int, list[tuple[str, str]]]:
    """Return what does not change from run to run; the order of headers means nothing."""
    changing = ("date", "sec-websocket-accept")
    pairs = sorted((name.lower(), value) for name, value in response.headers.raw_items())
    return response.status_code, [pair for pair in pairs if pair[0] not in changing]


async def over(ws: str, *args: Any, **options: Any) -> dict[str, Any]:
    async with serve(
        frameworks(), ws=ws, ws_per_message_deflate=False, headers=[("x-server", "s")]
    ) as served:
        return await transcript(served, *args, **options)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/echo/lobby", {"sent": ["hello", "ünïcode 🎈", "", "x" * 100_000], "leave": True}),
        ("/bytes", {"sent": [b"abc", b"", bytes(200_000)], "leave": True}),
        ("/json", {"sent": ['{"a": [1, 2]}']}),
        ("/subprotocol", {"subprotocols": ["one", "two"]}),
        ("/scope?a=1&b=%20", {"subprotocols": ["one"], "sent": ["x"][:0], "leave": True}),
        ("/refuse", {}),
        ("/deny", {}),
        ("/raise-early", {}),
        ("/silent", {}),
        ("/dependency?token=me", {}),
        ("/dependency", {}),
        ("/no/such/path", {}),
    ],
)
async def test_same_endpoint_same_transcript(path: str, options: dict[str, Any]) -> None:
    assert await over(OURS, path, **options) == await over(THEIRS, path, **options)


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_same_scope(http: Any) -> None:
    """Everything that middleware and frameworks read, with a root path, over both HTTP classes."""

    async def scope_over(ws: str) -> str:
        async with (
            serve(
                frameworks(), ws=ws, http=http, root_path="/mounted", ws_per_message_deflate=False
            ) as served,
            connect(served.url("/scope?x=%41"), compression=None, user_agent_header="t") as client,
        ):
            return str(await client.recv())

    ours = await scope_over(OURS)
    assert ours == await scope_over(THEIRS)
    assert "/mounted/scope" in ours
    assert "lifespan" in ours


async def test_addresses_are_those_of_the_socket() -> None:
    """`client` and `server` of the scope, which the comparison leaves out because ports change."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send({"type": "websocket.accept"})
        await receive()

    async with serve(app) as served, connect(served.url()) as client:
        assert seen["client"] == client.local_address
        assert seen["server"] == ("127.0.0.1", served.port)


async def test_proxy_headers_reach_the_scope(caplog: pytest.LogCaptureFixture) -> None:
    """Middleware of uvicorn changes the scope before the application sees it, and the log line follows."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send({"type": "websocket.accept"})
        await receive()

    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with caplog.at_level("INFO", "uvicorn.error"):
        async with serve(app) as served, connect(served.url("/p"), additional_headers=headers):
            assert seen["client"][0] == "203.0.113.9"
            assert seen["scheme"] == "wss"
    assert any(
        line.startswith("203.0.113.9:") and line.endswith('"WebSocket /p" [accepted]')
        for line in caplog.messages
    )


async def test_disconnect_reaches_the_endpoint_with_code_and_reason() -> None:
    app = frameworks()
    async with serve(app) as served:
        async with connect(served.url("/echo/r")) as client:
            await client.close(4321, "leaving")
        await served.until_empty()
    assert app.state.gone == (4321, "leaving")
