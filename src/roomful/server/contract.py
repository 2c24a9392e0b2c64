"""uvicorn's contract with a WebSocket protocol class: the one module that knows what uvicorn hands over.

uvicorn (0.52.1 and later) makes an object of the class in `ws=` with `config=`, `server_state=` and `app_state=`, then
calls `connection_made(transport)`, `data_received(<the request, serialised again>)` and
`transport.set_protocol(<the object>)`. The object keeps itself in `server_state.connections` and its ASGI task in
`server_state.tasks` for as long as they live, because uvicorn waits for both when it stops, and it has `shutdown()`.

Nothing of uvicorn is imported: these are the attributes that are read, as protocols. A test holds uvicorn to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio

__all__ = (
    "App",
    "AsgiMessage",
    "Config",
    "Receive",
    "Scope",
    "Send",
    "ServerState",
    "client_of",
    "is_tls",
    "server_of",
)

# ASGI's own shapes: mappings of text to whatever the specification says, hence `Any`.
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Config(Protocol):
    """What is read of `uvicorn.Config`."""

    loaded: bool
    loaded_app: App
    root_path: str
    ws_max_size: int
    ws_max_queue: int
    ws_ping_interval: float | None
    ws_ping_timeout: float | None
    limit_concurrency: int | None
    reset_contextvars: bool

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the application speaks."""

    def load(self) -> None:
        """Import the application and all else."""


class ServerState(Protocol):
    """What is read and changed of `uvicorn.server.ServerState`."""

    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]


def client_of(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Return the client's address, or None where there is none (a Unix socket)."""
    return _address(transport.get_extra_info("peername"))


def server_of(transport: asyncio.Transport) -> tuple[str, int | None] | None:
    """Return the address that the client connected to; a Unix socket's path stands with no port."""
    name = transport.get_extra_info("sockname")
    if isinstance(name, str):
        return name, None
    return _address(name)


def is_tls(transport: asyncio.Transport) -> bool:
    """Whether the bytes on the socket are encrypted by this process."""
    return transport.get_extra_info("sslcontext") is not None


def _address(name: object) -> tuple[str, int] | None:
    # IPv6 has four parts; the scope of ASGI takes the first two.
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
