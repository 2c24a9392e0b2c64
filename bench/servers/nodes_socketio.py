"""A node of python-socketio, with its Redis manager on the Redis that its arguments name."""

from __future__ import annotations

import socketio  # type: ignore[import-untyped] # it has no types

from bench.servers.serving import run_uvicorn, start

_QUIET_S = 600  # longer than any round: a ping would be a message that nobody has posted

if __name__ == "__main__":
    options = start()
    manager = socketio.AsyncRedisManager(options.redis)
    server = socketio.AsyncServer(async_mode="asgi", client_manager=manager, ping_interval=_QUIET_S)

    async def connect(sid: str, environ: object) -> None:
        """Join."""
        await server.enter_room(sid, "room")

    async def push(sid: str, data: str) -> None:
        """Push."""
        await server.emit("e", data, room="room")

    server.on("connect", connect)
    server.on("e", push)

    run_uvicorn(socketio.ASGIApp(server), options)
