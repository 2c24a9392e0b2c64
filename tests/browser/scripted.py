"""A server that says exactly what a test tells it to, and a browser tab that reports all that roomful.js tells it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from roomful import browser

__all__ = ("Line", "Scripted", "Tab", "serve_script")

# What a page needs that uses roomful.js, and nothing else. There is no icon, so that no browser asks for one.
POLICY: Final = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:"
PAGE: Final = '<!doctype html><title>roomful.js</title><link rel="icon" href="data:,">'
TIMEOUT_S: Final = 10.0
CLIENT: Final = re.compile(r"[?&]client=([^&]*)$")

# Reports everything in the order in which it is told. Bytes become text: no byte in these tests is above 127.
SET_UP: Final = """
async () => {
    window.roomful = await import("/roomful.js");
    window.dials = [];
    class Counted extends WebSocket {
        constructor(url, protocols) {
            window.dials.push(url);
            super(url, protocols);
        }
    }
    const plain = (data) => (data instanceof ArrayBuffer ? `bytes:${new TextDecoder().decode(data)}` : data ?? null);
    const withoutNothing = (value) => JSON.parse(JSON.stringify(value));
    window.open_ = (url, options) => roomful.connect(url, { random: () => 0.5, WebSocket: Counted, ...options });
    window.watch = (connection, types = []) => {
        window.connection = connection;
        for (const type of types) {
            connection.on(type, (data, frame) => {
                told(["event", [frame.type, plain(data), frame.room ?? null, frame.pos ?? null]]);
            });
        }
        connection.onMessage((message) => told(["message", plain(message)]));
        connection.onGap((gap) => told(["gap", gap]));
        connection.onError(({ name, code, message }) => told(["error", [name, code, message]]));
        connection.onStatus((status) => told(["status", status]));
    };
    window.ask = (...args) => {
        connection.request(...args).then(
            (value) => told(["done", value ?? null]),
            ({ name, code, message, id }) => told(["rejected", withoutNothing({ name, code, message, id })]),
        );
    };
}
"""


class Line:
    """One connection, seen from the server.

    Attributes:
        path: The path and query that it asked for, without what the client calls itself.
        client: What the client calls itself.
    """

    def __init__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.connection = connection
        found = CLIENT.search(connection.request.path)
        self.path = CLIENT.sub("", connection.request.path)
        self.client = found and found[1]

    @property
    def resume(self) -> dict[str, str] | None:
        """The positions that the client says it is at."""
        given = parse_qs(urlsplit(self.path).query).get("resume")
        if given is None:
            return None
        [text] = given
        positions: dict[str, str] = json.loads(text)
        return positions

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        await self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    async def push(self, event_type: str, data: object, pos: str, room: str = "tea") -> None:
        await self.say({"type": event_type, "data": data, "room": room, "pos": pos})

    async def joined(self, pos: str, room: str = "tea", *, recovered: bool = False) -> None:
        await self.say({"type": "roomful.joined", "room": room, "pos": pos, "recovered": recovered})

    async def remember(self, memory: str = "m", seconds: float = 300) -> None:
        """Say what the server calls what it remembers."""
        await self.say({"type": "roomful.memory", "id": memory, "seconds": seconds})

    async def hear(self) -> Any:
        """Return the next message: an object if it is JSON, else as it came."""
        async with asyncio.timeout(TIMEOUT_S):
            message = await self.connection.recv()
        return json.loads(message) if isinstance(message, str) else message

    async def closed(self) -> int | None:
        """Return the client's close code, once the connection has ended."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.connection.wait_closed()
        return self.connection.protocol.close_code

    async def close(self, code: int, reason: str = "") -> None:
        await self.connection.close(code, reason)

    def cut(self) -> None:
        """End without a word."""
        self.connection.transport.abort()


class Scripted:
    """Serves a page, roomful.js and WebSockets on one port.

    Attributes:
        is_refusing: Whether handshakes are answered with 503.
        is_silent: Whether handshakes are not answered at all.
        ended: Set when the test is over, so that nothing waits any longer.
    """

    def __init__(self) -> None:
        self.port = 0
        self.is_refusing = False
        self.is_silent = False
        self.ended = asyncio.Event()
        self._lines: asyncio.Queue[Line] = asyncio.Queue(64)

    async def accepted(self) -> Line:
        """Return the next connection."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._lines.get()

    async def serve(self, connection: ServerConnection) -> None:
        self._lines.put_nowait(Line(connection))
        await connection.wait_closed()

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            if self.is_silent:
                await self.ended.wait()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "") if self.is_refusing else None
        if request.path == "/roomful.js":
            return _response(browser.SCRIPT.read_bytes(), "text/javascript; charset=utf-8")
        return _response(PAGE.encode(), "text/html; charset=utf-8")


def _response(body: bytes, media_type: str) -> Response:
    headers = Headers(
        {
            "Content-Type": media_type,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "Connection": "close",
        }
    )
    return Response(200, "OK", headers, body)


@asynccontextmanager
async def serve_script() -> AsyncIterator[Scripted]:
    """Serve until the block ends."""
    script = Scripted()
    async with serve(
        script.serve, "127.0.0.1", 0, process_request=script.answer, subprotocols=None, close_timeout=0.2
    ) as server:
        script.port = server.sockets[0].getsockname()[1]
        yield script
        script.ended.set()


class Tab:
    """A page with roomful.js in it, whose clock moves only when the test says so."""

    def __init__(self, page: Page, told: asyncio.Queue[Any]) -> None:
        self.page = page
        self._told = told

    @classmethod
    async def open(cls, page: Page, port: int) -> Tab:
        told: asyncio.Queue[Any] = asyncio.Queue(256)
        await page.expose_function("told", told.put_nowait)
        await page.clock.install(time=0)
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.clock.pause_at(1000)
        await page.evaluate(SET_UP)
        return cls(page, told)

    async def connect(self, url: str = "/ws", *, types: tuple[str, ...] = ("post",), **options: Any) -> None:
        """Connect; pass over the first status."""
        await self.do("([url, options, types]) => watch(open_(url, options), types)", [url, options, types])
        assert await self.next() == ["status", {"state": "connecting"}]

    async def next(self) -> Any:
        """Return what the page is told next, as `[kind, value]`."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._told.get()

    async def status(self) -> Any:
        """Return the status that the page is told next, and nothing else."""
        kind, status = await self.next()
        assert kind == "status", (kind, status)
        return status

    async def has_been_told_all(self) -> bool:
        """Return whether the page has been told nothing but what was taken; asked by a mark behind all that was."""
        await self.page.evaluate("told(['mark'])")
        return bool(await self.next() == ["mark"])

    async def do(self, script: str, argument: object = None) -> Any:
        """Run a script in the page; what it asks for has happened when this returns.

        Playwright calls a script whose value is a function, so statements stand in `() => { … }`.
        """
        return await self.page.evaluate(script, argument)

    async def pass_ms(self, ms: int) -> None:
        """Let time pass, with all that is due in it."""
        await self.page.clock.run_for(ms)

    async def dials(self) -> int:
        """Return how many sockets have been opened."""
        count: int = await self.do("dials.length")
        return count
