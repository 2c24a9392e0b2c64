"""socketify: uWebSockets, in C++, and its topics, called from Python."""

from __future__ import annotations

from typing import Any

from socketify import App, AppListenOptions, AppOptions, OpCode  # type: ignore[import-untyped]

from bench.programs import Program
from bench.servers.serving import ROOM_NAME_BYTES, start

options = start()
app = (
    App(AppOptions(key_file_name=options.certificate, cert_file_name=options.certificate))
    if options.certificate
    else App()
)
ROOM = "room"
names: dict[str, list[str]] = {}


def upgrade(response: Any, request: Any, context: Any) -> None:
    """Accept, and remember the rooms that the client named."""
    key = request.get_header("sec-websocket-key")
    named = request.get_query("rooms")
    response.upgrade(
        key, request.get_header("sec-websocket-protocol"), request.get_header("sec-websocket-extensions"),
        context, named.split(",") if named else [ROOM],
    )  # fmt: skip


def opened(ws: Any) -> None:
    """Join."""
    if options.program in (Program.FANOUT, Program.REPLY, Program.ROOMS):
        for name in ws.get_user_data():
            ws.subscribe(name)


def received(ws: Any, message: str | bytes, opcode: OpCode) -> None:
    """Do what the program says."""
    if options.program == Program.FANOUT:
        app.publish(ROOM, message, opcode)
    elif options.program == Program.REPLY:
        app.publish(ROOM, message, opcode)
        ws.send("ok", OpCode.TEXT)
    elif options.program == Program.ROOMS:
        app.publish(message[:ROOM_NAME_BYTES], message, opcode)
    else:
        ws.send(message, opcode)


app.ws(
    "/*",
    {
        "max_payload_length": 2**24,
        "idle_timeout": 300,
        "upgrade": upgrade,
        "open": opened,
        "message": received,
    },
)

if __name__ == "__main__":
    app.listen(AppListenOptions(port=options.port, host="127.0.0.1"))
    app.run()
