"""Applications that the tests serve: plain ASGI, and what FastAPI and Starlette make of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, WebSocket, WebSocketException
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

__all__ = ("App", "Receive", "Scope", "Send", "echo", "frameworks", "run_messages")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[Any]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back what comes."""
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        message["type"] = "websocket.send"
        await send(message)


def run_messages(*messages: dict[str, Any]) -> App:
    """Return an application that sends these messages and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


async def _user(websocket: WebSocket) -> str:
    if "token" not in websocket.query_params:
        raise WebSocketException(4501, "no token")
    return websocket.query_params["token"]


def frameworks() -> FastAPI:  # noqa: C901  # a list of endpoints; none knows another
    """Return a FastAPI application with an endpoint for each thing that endpoints do."""
    app = FastAPI()

    @app.websocket("/echo/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(f"{room}: {await websocket.receive_text()}")
        except WebSocketDisconnect as gone:
            websocket.app.state.gone = (gone.code, gone.reason)

    @app.websocket("/bytes")
    async def in_bytes(websocket: WebSocket) -> None:
        await websocket.accept()
        async for data in websocket.iter_bytes():
            await websocket.send_bytes(data[::-1])

    @app.websocket("/json")
    async def in_json(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({"got": await websocket.receive_json()})
        await websocket.send_json({"binary": True}, mode="binary")
        await websocket.close(4000, "enough")

    @app.websocket("/subprotocol")
    async def subprotocol(websocket: WebSocket) -> None:
        await websocket.accept(
            subprotocol=websocket.scope["subprotocols"][-1], headers=[(b"x-one", b"1"), (b"X-Two", b"2")]
        )
        await websocket.send_json(websocket.scope["subprotocols"])
        await websocket.close()

    @app.websocket("/scope")
    async def scope(websocket: WebSocket) -> None:
        await websocket.accept()
        seen = {key: value for key, value in websocket.scope.items() if key in SHOWN}
        seen["headers"] = [pair for pair in seen["headers"] if pair[0] not in (b"host", b"sec-websocket-key")]
        await websocket.send_text(repr(sorted(seen.items())))
        await websocket.receive()

    @app.websocket("/refuse")
    async def refuse(websocket: WebSocket) -> None:
        await websocket.close(1008)

    @app.websocket("/deny")
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"why": "full"}, 409, headers={"X-Why": "full"}))

    @app.websocket("/raise-early")
    async def raise_early(websocket: WebSocket) -> None:
        raise ValueError("early")

    @app.websocket("/silent")
    async def silent(websocket: WebSocket) -> None:
        await websocket.receive()

    @app.websocket("/dependency")
    async def dependency(websocket: WebSocket, user: str = Depends(_user)) -> None:
        await websocket.accept()
        await websocket.send_text(user)
        await websocket.close(1001, "bye " + user)

    return app


SHOWN = frozenset(
    (
        "type",
        "asgi",
        "http_version",
        "scheme",
        "root_path",
        "path",
        "raw_path",
        "query_string",
        "headers",
        "subprotocols",
        "state",
    )
)
