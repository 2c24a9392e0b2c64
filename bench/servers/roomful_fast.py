"""Roomful on its own interface server, without a framework."""

from __future__ import annotations

from bench.servers.roomful_consumers import CONSUMERS, settings
from bench.servers.serving import run_uvicorn, start
from roomful import Hub

if __name__ == "__main__":
    options = start()
    settings.handler_s = options.handler_s
    run_uvicorn(CONSUMERS[options.program].as_asgi(hub=Hub()), options, ws="roomful.server:WebSocketProtocol")
