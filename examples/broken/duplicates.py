"""Messages that come twice.

Broken: a message whose receipt takes too long is sent again, although the first has arrived too. That is what
"at least once" means, and the receiver has to know.
Signature: the same message comes twice over one connection that was open all the time.
Cure: number the messages and let the receiver drop what it has, or do not repeat over a connection that lives.
Knob: REPEAT_EVERY, of so many messages one is repeated; 0 for none.
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

REPEAT_EVERY = int(number("REPEAT_EVERY", 20))

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    count = 0
    async for message in websocket.iter_text():
        count += 1
        await websocket.send_text(message)
        if REPEAT_EVERY and count % REPEAT_EVERY == 0:
            await websocket.send_text(message)  # this is the fault


if __name__ == "__main__":
    serve(app)
