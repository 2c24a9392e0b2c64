"""How a connection is opened: from which address, with which socket options, in which time.

What goes wrong has one error, in words that help; nothing stays open behind it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from roomful.probe.connection import Connection, Listener
from roomful.probe.errors import Unreachable
from roomful.probe.handshake import unreachable
from roomful.probe.target import Target

__all__ = ("open_connection",)


async def open_connection(
    target: Target,
    number: int,
    listener: Listener | None,
    *,
    max_bytes: int,
    key_byte: int = 0x5A,
    options: Sequence[tuple[int, int, int]] = (),
    connected: socket.socket | None = None,
) -> Connection:
    """Open one connection.

    Args:
        target: Where.
        number: The client's number; it also picks the source address.
        listener: Who hears of messages and the end.
        max_bytes: The largest frame that is accepted.
        key_byte: The byte of which the masking key has four; see `frames`.
        options: Socket options to set before connecting, such as a receive buffer.
        connected: A socket that is connected already; it is used, and belongs to the connection then.

    Raises:
        Unreachable: nobody is there, or does not speak WebSocket, or refuses, or takes too long.
    """
    uri = target.uri
    loop = asyncio.get_running_loop()
    tls = (target.tls or ssl.create_default_context()) if uri.secure else None
    connection = Connection(target, number, listener, max_bytes=max_bytes, key_byte=key_byte)
    source = (target.sources[number % len(target.sources)], 0) if target.sources else None
    try:
        async with asyncio.timeout(target.open_timeout_s):
            if options or connected is not None:
                sock = connected or await _connected_socket(uri.host, uri.port, source, options)
                await loop.create_connection(
                    lambda: connection, sock=sock, ssl=tls, server_hostname=uri.host if tls else None
                )
            else:
                await loop.create_connection(
                    lambda: connection,
                    uri.host,
                    uri.port,
                    ssl=tls,
                    server_hostname=uri.host if tls else None,
                    local_addr=source,
                )
            await connection.opened()
    except TimeoutError as error:
        connection.abort()
        text = f"{target.shown} did not finish the handshake within {target.open_timeout_s:g} s"
        raise Unreachable("timeout", text) from error
    except (OSError, EOFError) as error:
        connection.abort()
        raise unreachable(error, target) from error
    except Unreachable as error:
        connection.abort()
        raise Unreachable(error.reason, f"{target.shown}: {error}", status=error.status) from error
    except asyncio.CancelledError:
        connection.abort()
        raise
    return connection


async def _connected_socket(
    host: str, port: int, source: tuple[str, int] | None, options: Sequence[tuple[int, int, int]]
) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, proto, _, address = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option)
        if source:
            sock.bind(source)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
