"""picows, a WebSocket library in Cython: a loop over the transports' `send`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.programs import Program
from bench.servers.serving import ROOM_NAME_BYTES, run_loop, start

options = start()
clients: dict[WSTransport, None] = {}
rooms: defaultdict[bytes, dict[WSTransport, None]] = defaultdict(dict)
TEXT = WSMsgType.TEXT


class Fanout(WSListener):
    """Sends every message to everybody."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Join."""
        clients[transport] = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Push."""
        if frame.msg_type is TEXT:
            message = frame.get_payload_as_bytes()
            for client in list(clients):
                client.send(TEXT, message)
            if options.program == Program.REPLY:
                transport.send(TEXT, b"ok")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave."""
        clients.pop(transport, None)


class Rooms(WSListener):
    """Sends every message to its room."""

    def __init__(self, names: list[bytes]) -> None:
        self._names = names

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Join."""
        for name in self._names:
            rooms[name][transport] = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Push."""
        del transport
        if frame.msg_type is TEXT:
            message = frame.get_payload_as_bytes()
            for client in list(rooms[message[:ROOM_NAME_BYTES]]):
                client.send(TEXT, message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave."""
        for name in self._names:
            rooms[name].pop(transport, None)


class Echo(WSListener):
    """Sends every message back."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Reply."""
        if frame.msg_type is TEXT:
            transport.send(TEXT, frame.get_payload_as_bytes())


def listener(request: WSUpgradeRequest) -> WSListener:
    """Return the listener of one client."""
    if options.program in (Program.FANOUT, Program.REPLY):
        return Fanout()
    if options.program == Program.ROOMS:
        names = parse_qs(urlsplit(request.path).query)[b"rooms"][0].split(b",")
        return Rooms(names)
    return Echo()


async def listen() -> asyncio.Server:
    """Begin to serve."""
    return await ws_create_server(
        listener, "127.0.0.1", options.port, ssl=options.tls, backlog=4096, max_frame_size=2**24
    )


if __name__ == "__main__":
    run_loop(listen)
