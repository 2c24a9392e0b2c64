"""A node of Roomful, on the Redis that its arguments name."""

from __future__ import annotations

from bench.programs import Program
from bench.servers.roomful_consumers import CONSUMERS
from bench.servers.serving import run_uvicorn, start
from roomful import Hub
from roomful.routing import ProtocolTypeRouter, URLRouter, route

if __name__ == "__main__":
    options = start()
    hub = Hub(options.redis)
    consumer = CONSUMERS[Program.FANOUT].as_asgi(hub=hub)
    app = ProtocolTypeRouter({"websocket": URLRouter([route("/nodes", consumer)])}, hub=hub)
    run_uvicorn(app, options, ws="roomful.server:WebSocketProtocol")
