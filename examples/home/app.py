"""All examples behind one address, with a page that leads to each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from examples.alarms.app import app as token_alarms
from examples.broadcast.app import app as broadcast
from examples.chat.app import app as chat
from examples.django_alarms.app import app as alarms
from examples.layered.app import app as layered
from examples.pages import add_page

__all__ = ("app",)

EXAMPLES = {
    "/broadcast": broadcast,
    "/chat": chat,
    "/alarms": alarms,
    "/token-alarms": token_alarms,
    "/layered": layered,
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # The server runs the lifespan of the outermost application only: a mounted one's hub would neither be
    # opened nor, what matters more, closed.
    async with AsyncExitStack() as stack:
        for example in EXAMPLES.values():
            await stack.enter_async_context(example.router.lifespan_context(example))
        yield


app = FastAPI(title="Roomful examples", lifespan=lifespan)
add_page(app, Path(__file__).parent / "page")
for path, example in EXAMPLES.items():
    app.mount(path, example)
