"""A node of the tests whose members are shown to each other: the path says who comes. Leases are short."""

import os

from roomful import Consumer, Hub, RoomPolicy
from roomful.layers.redis import RedisLayer, Timing
from roomful.routing import ProtocolTypeRouter, URLRouter, route

from .nodes import LEASE_S

hub = Hub(
    RedisLayer(os.environ["ROOMFUL_LAYER"], timing=Timing(lease_s=LEASE_S)),
    rooms={"hall": RoomPolicy(presence=True, presence_grace_s=0.2)},
)


class Somebody(Consumer):
    async def connect(self, who: str) -> None:
        await self.join("hall", who=who)


app = ProtocolTypeRouter({"websocket": URLRouter([route("/ws/{who}", Somebody.as_asgi(hub=hub))])}, hub=hub)
