"""`websockets` with its own server and `broadcast`, without compression."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve

from bench.programs import Program
from bench.servers.serving import ROOM_NAME_BYTES, run_loop, start

options = start()
clients: set[ServerConnection] = set()
rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def fanout(connection: ServerConnection) -> None:
    """Send every message to everybody."""
    clients.add(connection)
    try:
        async for message in connection:
            broadcast(clients, message)
            if options.program == Program.REPLY:
                await connection.send("ok")
    finally:
        clients.discard(connection)


async def many_rooms(connection: ServerConnection) -> None:
    """Send every message to its room."""
    assert connection.request is not None
    names = parse_qs(urlsplit(connection.request.path).query)["rooms"][0].split(",")
    for name in names:
        rooms[name].add(connection)
    try:
        async for message in connection:
            assert isinstance(message, str)
            broadcast(rooms[message[:ROOM_NAME_BYTES]], message)
    finally:
        for name in names:
            rooms[name].discard(connection)


async def echo(connection: ServerConnection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def images(connection: ServerConnection) -> None:
    """Take a while for every image."""
    async for image in connection:
        assert isinstance(image, bytes)
        await asyncio.sleep(options.handler_s)
        await connection.send(f"{len(image)} {image[:64].decode()}")


HANDLERS = {
    Program.FANOUT: fanout,
    Program.REPLY: fanout,
    Program.ROOMS: many_rooms,
    Program.ECHO: echo,
    Program.EVENT: echo,
    Program.IDLE: echo,
    Program.IMAGES: images,
}


async def listen() -> Server:
    """Begin to serve."""
    return await serve(
        HANDLERS[Program(options.program)],
        "127.0.0.1",
        options.port,
        compression=None,
        max_size=2**24,
        ssl=options.tls,
        backlog=4096,
    )


if __name__ == "__main__":
    run_loop(listen)
