"""What uvicorn hands over, pinned: when a release changes it, this fails and not a user's server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from roomful.server import WebSocketProtocol, contract
from tests.server.apps import echo
from tests.server.serving import RawClient, serve, upgrade_request


class Recorder(asyncio.Protocol):
    """A class for `ws=` that notes how it is used."""

    made: list[Recorder]

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.calls: list[Any] = []
        self.transport: Any = None
        self.made.append(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("connection_made")

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)
        self.is_set_before = self.transport.get_protocol() is self
        if len(self.calls) > 2:
            self.transport.close()


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_how_a_class_is_made_and_given_the_socket(http: Any) -> None:
    """Three keywords; the transport; the request, whole and serialised again; then the socket's own bytes."""
    Recorder.made = []
    async with serve(echo, ws=Recorder, http=http) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request("/p?q=1", [("X-A", "b")]))
        await asyncio.sleep(0)
        while not (Recorder.made and len(Recorder.made[0].calls) == 2):  # noqa: ASYNC110
            await asyncio.sleep(0)
        client.send(b"bytes")
        assert await client.end() == b""
    (made,) = Recorder.made
    assert set(made.given) == {"config", "server_state", "app_state"}
    assert isinstance(made.given["config"], uvicorn.Config)
    assert isinstance(made.given["server_state"], ServerState)
    assert made.given["app_state"] == {"of": "lifespan"}
    first, request, rest = made.calls
    assert (first, rest) == ("connection_made", b"bytes")
    head, *lines = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert head == b"GET /p?q=1 HTTP/1.1"
    assert (b"x-a: b") in lines
    assert not served.state.connections


def test_settings_that_are_read() -> None:
    """Each attribute of our protocol exists on `uvicorn.Config`, with a value of its type."""
    config = uvicorn.Config(echo)
    config.load()
    assert callable(config.loaded_app)
    assert config.loaded is True
    assert config.asgi_version == "3.0"
    assert (config.root_path, config.ws_max_size, config.ws_max_queue) == ("", 16 * 2**20, 32)
    assert (config.ws_ping_interval, config.ws_ping_timeout) == (20.0, 20.0)
    assert config.limit_concurrency is None
    assert config.reset_contextvars is False
    for name in (*contract.Config.__annotations__, "asgi_version", "load"):
        assert hasattr(config, name), name


def test_state_that_is_shared() -> None:
    state = ServerState()
    assert (state.connections, state.tasks, state.default_headers) == (set(), set(), [])


def test_class_can_be_named_on_the_command_line() -> None:
    config = uvicorn.Config(echo, ws="roomful.server:WebSocketProtocol")
    config.load()
    assert config.ws_protocol_class is WebSocketProtocol


def test_class_loads_settings_that_nobody_has_loaded() -> None:
    config = uvicorn.Config(echo)
    WebSocketProtocol(config=config, server_state=ServerState(), app_state={})  # type: ignore[arg-type]  # see test above
    assert config.loaded


async def test_connections_and_tasks_are_registered_while_they_live() -> None:
    """When it stops, uvicorn waits for both."""
    async with serve(echo) as served:
        client = await RawClient.open(served)
        assert len(served.ours()) == 1
        assert len(served.state.tasks) == 1
        await client.leave()
        await served.until_empty()


@pytest.mark.parametrize(
    ("peername", "sockname", "client", "server"),
    [
        (("1.2.3.4", 5), ("6.7.8.9", 10), ("1.2.3.4", 5), ("6.7.8.9", 10)),
        (("::1", 5, 0, 0), ("::2", 10, 0, 0), ("::1", 5), ("::2", 10)),
        ("", "/run/app.sock", None, ("/run/app.sock", None)),
        (None, None, None, None),
    ],
)
def test_addresses(peername: Any, sockname: Any, client: Any, server: Any) -> None:
    class FakeTransport(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return {"peername": peername, "sockname": sockname}.get(name, default)

    assert contract.client_of(FakeTransport()) == client
    assert contract.server_of(FakeTransport()) == server
    assert contract.is_tls(FakeTransport()) is False


async def test_limit_on_concurrency_holds_for_websockets_too() -> None:
    """The HTTP classes answer 503 beyond `limit_concurrency`; so do we."""
    async with serve(echo, limit_concurrency=2) as served:
        await RawClient.open(served)
        second = await RawClient.dial(served)
        second.send(upgrade_request())
        assert (await second.response())[0] == 503
