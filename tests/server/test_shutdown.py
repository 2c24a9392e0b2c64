"""The end of a real uvicorn: everybody is told, and nobody holds it up."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from roomful.core.ports import Message
from roomful.server import FRAMING, WebSocketProtocol, asgi, protocol
from tests.server.apps import Receive, Scope, Send, echo
from tests.server.peers import Adopting, FakePeer
from tests.server.serving import PATIENCE_S, RawClient, Served, masked, upgrade_request

ROOT = Path(__file__).parents[2]


class Server(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def run(app: Any, **settings: Any) -> AsyncIterator[tuple[Server, Served, asyncio.Task[None]]]:
    """Run all of uvicorn on a socket that is bound already."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, ws=WebSocketProtocol, log_config=None, **settings))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    served = Served(sock.getsockname()[1], server.server_state)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ready.wait()
        yield server, served, task
    finally:
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_S):
            await task
        for client in served.clients:
            await client.leave()


async def test_open_connections_are_closed_with_1012() -> None:
    """The application receives the disconnect, and its task has ended before uvicorn does."""
    received: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            received.append(await receive())

    async with run(app) as (server, served, task):
        client = await RawClient.open(served)
        server.should_exit = True
        assert await client.close_code() == 1012
        client.send(masked("close", b"\x03\xf4"))
        await task
    assert received == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}]
    assert not server.server_state.tasks


async def test_adopted_peers_are_told_and_end_by_themselves() -> None:
    peer = FakePeer()
    async with run(Adopting(peer), lifespan="off") as (server, served, task):
        client = await RawClient.open(served)
        server.should_exit = True
        assert await client.close_code() == 4001
        client.send(masked("text", b"late") + masked("close", b"\x0f\xa1"))
        await task
    assert peer.log == ["going away", (4001, "bye")]


async def test_handshake_under_way_is_answered() -> None:
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "websocket.disconnect"
        release.set()

    async with run(app, lifespan="off") as (server, served, task):
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        while not served.ours():  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
        server.should_exit = True
        assert (await client.response())[0] == 503
        await task
    assert release.is_set()


@pytest.mark.parametrize("adopted", [True, False])
async def test_client_that_never_reads_does_not_hold_it_up(
    adopted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself uvicorn waits without limit for its connections to go; under its own classes this never ends."""
    for module in (protocol, asgi):
        monkeypatch.setattr(module, "LINGER_S", 0.05)
    peer = FakePeer(linger_s=0.05)

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": bytes(65_536)})

    app: Any = Adopting(peer) if adopted else flood
    async with run(app, lifespan="off") as (server, served, task):
        await RawClient.open(served, receive_buffer=4096)
        (wire,) = served.ours()
        if adopted:
            frame = FRAMING.frame([Message(is_text=False, data=bytes(65_536))])
            await app.until_adopted()
            while wire._writable:
                wire.write(FRAMING.join([frame]))
        while wire._writable:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
        server.should_exit = True
        await task
        assert not server.server_state.connections


async def test_task_that_ignores_the_disconnect_is_cancelled_in_uvicorns_time() -> None:
    """`timeout_graceful_shutdown` holds; the cancelled call leaves nothing behind."""
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with run(app, lifespan="off", timeout_graceful_shutdown=0) as (server, served, task):
        client = await RawClient.open(served)
        server.should_exit = True
        assert await client.close_code() == 1012
        client.send(masked("close"))
        await task
        async with asyncio.timeout(PATIENCE_S):
            await cancelled.wait()


async def test_cancelled_call_closes_its_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    async with run(app, lifespan="off") as (server, served, task):
        client = await RawClient.open(served)
        (call,) = server.server_state.tasks
        call.cancel()
        assert await client.close_code() == 1012
        client.send(masked("close"))
        server.should_exit = True
        await task


async def test_lifespan_state_reaches_the_scope() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["pool"] = "a pool"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            seen.update(scope["state"])
            await echo(scope, receive, send)

    async with run(app, lifespan="on") as (_, served, _):
        client = await RawClient.open(served)
        client.send(masked("text", b"hi"))
        assert await client.text() == "hi"
        await client.leave()
    assert seen == {"pool": "a pool"}


@pytest.mark.parametrize("arguments", [["--workers", "2"], ["--reload"]])
async def test_command_line(arguments: list[str]) -> None:
    """Workers and the reloader start processes of their own, which import the class by its name."""
    command = [sys.executable, "-m", "uvicorn", "tests.server.apps:echo", "--lifespan", "off", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, "--ws", "roomful.server:WebSocketProtocol", *arguments,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"http://127.0.0.1:(\d+)", await process.stderr.readline())):
                pass
            port = int(found[1])
            # The parent has bound the port; a child listens a little later, and nothing tells when.
            while not await listens(port):
                pass
        async with connect(f"ws://127.0.0.1:{port}/") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
    assert b"Traceback" not in rest


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
