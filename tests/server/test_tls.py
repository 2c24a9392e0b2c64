"""The same over TLS: scheme, messages, adoption, bounds, and clients that end it badly."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from roomful.core.ports import Message
from roomful.server import FRAMING
from tests.server.apps import Receive, Scope, Send, echo
from tests.server.certificates import client_context, make_certificate
from tests.server.peers import Adopting, FakePeer
from tests.server.serving import PATIENCE_S, RawClient, masked, serve, upgrade_request


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def settings(files: tuple[Path, Path]) -> dict[str, Any]:
    return {"ssl_certfile": str(files[0]), "ssl_keyfile": str(files[1])}


@pytest.fixture
def trust(files: tuple[Path, Path]) -> ssl.SSLContext:
    return client_context(files[0])


async def open_raw(served: Any, trust: ssl.SSLContext, **options: Any) -> RawClient:
    client = await RawClient.dial(served, tls=trust, **options)
    client.send(upgrade_request())
    assert (await client.response())[0] == 101
    return client


async def test_scope_says_wss_and_messages_pass(settings: dict[str, Any], trust: ssl.SSLContext) -> None:
    schemes: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        schemes.append(scope["scheme"])
        await echo(scope, receive, send)

    async with serve(app, **settings) as served, connect(served.url(), ssl=trust) as client:
        for message in ("hello", "x" * 300_000, b"\x00" * 70_000):
            await client.send(message)
            assert await client.recv() == message
        await client.close(4001, "bye")
    assert schemes == ["wss"]


async def test_adoption(settings: dict[str, Any], trust: ssl.SSLContext) -> None:
    peer = FakePeer(echo=True)
    async with serve(Adopting(peer), **settings) as served:
        client = await open_raw(served, trust)
        client.send(masked("text", b"a"))
        assert await client.text() == "a"
        client.send(masked("close", b"\x0f\xa1"))
        assert await client.close_code() == 4001
        assert await peer.until_lost() == (4001, "")


async def test_protocol_error_still_brings_its_code(settings: dict[str, Any], trust: ssl.SSLContext) -> None:
    """TLS cannot close one half, so the close frame must be out before the socket goes."""
    async with serve(echo, ws_max_size=1000, **settings) as served:
        client = await open_raw(served, trust)
        client.send(masked("binary", bytes(500_000)))
        assert await client.close_code() == 1009
        await client.leave()
        await served.until_empty()


async def test_stuck_reader_is_noticed_at_the_same_mark(
    settings: dict[str, Any], trust: ssl.SSLContext
) -> None:
    """By itself TLS pauses only at 512 KiB; and letting go works through it."""
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app, **settings) as served:
        client = await open_raw(served, trust, receive_buffer=4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire = await app.until_adopted()
        frame = FRAMING.frame([Message(is_text=False, data=bytes(8_192))])
        async with asyncio.timeout(PATIENCE_S):
            while "paused" not in peer.log:
                wire.write(FRAMING.join([frame]))
                await asyncio.sleep(0)
        assert wire.unsent() < 128 * 1024
        wire.close(4000, "slow", linger_s=0.05)
        assert await peer.until_lost() == (1006, "")
        await served.until_empty()


@pytest.mark.parametrize("inside", [b"", masked("text", b"hello")[:-2]])
async def test_connection_cut_without_a_tls_goodbye(
    settings: dict[str, Any], trust: ssl.SSLContext, inside: bytes
) -> None:
    peer = FakePeer()
    app = Adopting(peer)
    async with serve(app, **settings) as served:
        client = await open_raw(served, trust)
        await app.until_adopted()
        client.send(inside)
        client.drop()
        assert await peer.until_lost() == (1006, "")
        await served.until_empty()
