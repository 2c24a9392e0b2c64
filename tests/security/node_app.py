"""What one process of the tests serves: tickets for whoever says a name, and a door that takes them."""

from typing import Any

from roomful import Consumer, Event, Hub, Principal, Tickets, on
from roomful.routing import ProtocolTypeRouter, URLRouter, route

tickets = Tickets()
hub = Hub(auth=tickets)


class Guest(Consumer):
    """Says who is there; and, for the tests, issues tickets and sends people away."""

    async def connect(self) -> None:
        await self.join("all")
        await self.send(Event("hello", self.principal.id))

    @on("issue")
    async def issue(self, who: str) -> str:
        return await tickets.issue(Principal(who))

    @on("revoke")
    async def revoke(self, data: Any) -> None:
        await self.hub.disconnect(principal=data["who"], code=data["code"], reason=data["reason"])


async def first_ticket(scope: Any, receive: Any, send: Any) -> None:
    """Answer an HTTP request with a ticket for whoever its path names."""
    del receive
    body = (await tickets.issue(Principal(scope["path"].strip("/")))).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = ProtocolTypeRouter(
    {"http": first_ticket, "websocket": URLRouter([route("/ws", Guest.as_asgi(hub=hub))])}, hub=hub
)
