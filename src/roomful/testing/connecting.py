"""Connecting: an ASGI application is called in the test's own event loop, without a network.

    async with connect(app, "/ws/chat/lobby") as client:
        await client.send(Event("post", {"text": "hi"}), id=1)
        assert (await client.receive_event("post")).data == {"text": "hi"}

It runs no lifespan: a test enters its hub with `async with hub`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote

from .client import TIMEOUT_S, Client
from .socket import AsgiEvent, ClientGone, Socket

__all__ = ("App", "connect")

App: TypeAlias = Callable[
    [AsgiEvent, Callable[[], Awaitable[AsgiEvent]], Callable[[AsgiEvent], Awaitable[None]]], Awaitable[None]
]
"""An ASGI 3 application."""


@asynccontextmanager
async def connect(
    app: App,
    path: str,
    *,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    cookies: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    scope: Mapping[str, object] | None = None,
    denial_response: bool = True,
    window_bytes: int = 64 * 1024,
    timeout_s: float = TIMEOUT_S,
    end_timeout_s: float = TIMEOUT_S,
) -> AsyncGenerator[Client]:
    """Connect to an ASGI application; the block runs once the handshake is accepted.

    When the block ends, the connection is closed with 1000 if it is still open, and the application is waited for, so
    that nothing of it runs any more. An error of the application ends the connection with 1011 (500 in the handshake),
    as on our server, and is raised again where the block ends.

    Args:
        app: The application: a router, a framework's, or `Consumer.as_asgi(hub=hub)`.
        path: The path, with a query if there is one, as in a URL.
        headers: Further headers; a sequence of pairs may repeat a name.
        cookies: Sent as one `Cookie` header.
        subprotocols: What the client offers.
        scope: Entries of the ASGI scope to add or to replace, such as `user`, `client` or `root_path`.
        denial_response: Whether the application may refuse with an HTTP response of its own, as under uvicorn. Without,
            a refusal is 403 and no more.
        window_bytes: Bytes that may be on their way in each direction before the sender waits.
        timeout_s: Time that the application has to answer the handshake.
        end_timeout_s: Time that it has to end once the connection has ended.

    Yields:
        The client.

    Raises:
        Refused: The handshake was refused.
        TimeoutError: It was not answered.
        AssertionError: The application still ran after `end_timeout_s`; it has been cancelled.

    Cancellation: the connection is dropped, and the application is cancelled and waited for.
    """
    socket = Socket(window_bytes)
    client = Client(socket)
    asgi_scope = _scope(path, headers, cookies or {}, subprotocols, denial_response=denial_response)
    task = asyncio.get_running_loop().create_task(_run(app, {**asgi_scope, **(scope or {})}, socket))
    try:
        await client.shake_hands(timeout_s)
        yield client
        if not socket.is_over:
            await client.close(timeout_s=end_timeout_s)
    except BaseException as error:
        socket.abort_by_client()
        await _finish(task, 0 if isinstance(error, asyncio.CancelledError) else end_timeout_s)
        if not task.cancelled() and (cause := task.exception()) is not None:
            error.add_note(f"the application had raised {cause!r}")
        raise
    if not await _finish(task, end_timeout_s):
        raise AssertionError(f"application still ran {end_timeout_s} s after the end of its connection")
    task.result()


async def _run(app: App, scope: AsgiEvent, socket: Socket) -> None:
    try:
        await app(scope, socket.receive, socket.send)
    except ClientGone:
        socket.returned(None)
    except BaseException as error:
        socket.returned(error)
        raise
    else:
        socket.returned(None)


async def _finish(task: asyncio.Task[None], timeout_s: float) -> bool:
    """Wait until the application has ended, and cancel it if it does not. Returns whether it ended by itself."""
    try:
        await asyncio.wait((task,), timeout=timeout_s)
        return task.done()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))


def _scope(
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]],
    cookies: Mapping[str, str],
    subprotocols: Sequence[str],
    *,
    denial_response: bool,
) -> dict[str, Any]:
    raw_path, _, query = path.partition("?")
    lines = [("host", "testserver"), *(headers.items() if isinstance(headers, Mapping) else headers)]
    if cookies:
        lines.append(("cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    if subprotocols:
        lines.append(("sec-websocket-protocol", ", ".join(subprotocols)))
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("testserver", 80),
        "client": ("testclient", 50_000),
        "root_path": "",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines],
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}} if denial_response else {},
    }
