from roomful import Consumer, Event, Hub
from roomful.routing import ProtocolTypeRouter, URLRouter, route

hub = Hub()


class Ticker(Consumer, owns_wire=True):
    async def connect(self, symbol: str) -> None:
        await self.join(f"ticker:{symbol}")


class Prices(Consumer):
    async def receive(self, message: dict[str, float]) -> None:
        for symbol, price in message.items():
            await self.hub.push(f"ticker:{symbol}", Event("price", price))


app = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [route("/ticker/{symbol}", Ticker.as_asgi(hub=hub)), route("/prices", Prices.as_asgi(hub=hub))]
        )
    },
    hub=hub,
)
