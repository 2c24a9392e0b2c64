from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

import roomful.browser
from roomful import Consumer, Event, Hub, ReplyError, on
from roomful.fastapi import consumer_route

hub = Hub()
app = FastAPI(lifespan=hub.lifespan)
app.mount("/roomful", roomful.browser.app)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@consumer_route(app, "/ws/auction", hub=hub)
class Auction(Consumer):
    highest = 0

    async def connect(self) -> None:
        await self.join("auction")

    @on("bid")
    async def bid(self, amount: int) -> int:
        if amount <= Auction.highest:
            raise ReplyError("too_low", f"somebody bids {Auction.highest}")
        Auction.highest = amount
        await self.hub.push("auction", Event("bid", amount))
        return amount
