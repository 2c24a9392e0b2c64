"""A limit of a message's size that is too small for what clients send.

Broken: the server takes messages of 64 KiB and no more. It is a good thing to have a limit; this one is too low.
Signature: the connection is closed with 1009 (RFC 6455 §7.4.1), at one size exactly, whatever the rate.
Cure: raise the limit (`uvicorn --ws-max-size`, `max_size` of `websockets`), or send in parts.
Knob: MAX_SIZE, in bytes.
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


if __name__ == "__main__":
    serve(app, max_size=int(number("MAX_SIZE", 65536)))
