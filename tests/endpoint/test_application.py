"""The application: what an ASGI server gets for each WebSocket."""

from __future__ import annotations

import asyncio
import contextvars
import json
from typing import Any

import pytest

from roomful import Consumer, Event, Hub, on
from roomful.core.limits import Limits
from roomful.core.names import ConnectionId
from roomful.core.ports import Peer, Wire
from roomful.endpoint.framing import ASGI_FRAMING
from tests.clock import after, settled
from tests.endpoint.calls import RESPONSES, Call, Chat, log
from tests.endpoint.server import Server
from tests.fakes import FakeLayer, FakeWire

# ── A life ──


async def test_life_of_a_connection(hub: Hub) -> None:
    """Handshake, connect, messages, pushes, disconnect; then the call returns."""
    call = Call(Chat, hub)
    await settled()
    call.server.hears('{"type":"post","data":"hi","id":1}')
    await settled()
    await hub.push("lobby", Event("news", 1))
    await settled()
    call.server.loses(1001)
    await call.ended()

    assert call.server.types == ["accept", "send", "send", "send"]
    joined, reply, news = (json.loads(message) for message in call.server.messages)
    assert joined["type"] == "roomful.joined"
    assert reply == {"reply": 1, "data": "HI"}
    assert (news["type"], news["data"], news["room"]) == ("news", 1, "lobby")
    assert log == [("made", {}), ("connect", "lobby"), ("post", "hi"), ("disconnect", 1001)]


async def test_consumer_that_writes_no_methods_is_accepted(hub: Hub) -> None:
    """A class that only listens works."""

    class Listener(Consumer):
        pass

    call = Call(Listener, hub)
    await settled()
    call.server.hears("hello")
    await settled()
    call.server.loses()
    await call.ended()

    assert call.server.types == ["accept", "send"]
    assert json.loads(call.server.messages[0])["error"]["code"] == "not_listening"


async def test_messages_before_connect_has_returned_wait(hub: Hub) -> None:
    """What a client sends early is handled after `connect`, in order."""

    class Slow(Chat):
        async def connect(self) -> None:
            await asyncio.sleep(1)
            log.append("connected")

    call = Call(Slow, hub)
    call.server.hears('{"type":"post","data":"a"}', '{"type":"post","data":"b"}')
    await after(2)
    call.server.loses()
    await call.ended()

    assert log[1:] == ["connected", ("post", "a"), ("post", "b"), ("disconnect", 1006)]


async def test_slow_handler_stops_the_reading_of_its_socket(hub: Hub) -> None:
    """Beyond the inbound limits `receive` is not called, and everything is handled in the end."""
    gate = asyncio.Event()

    class Slow(Chat):
        async def receive(self, message: str) -> None:
            await gate.wait()
            log.append(message)

    call = Call(Slow, hub)
    call.server.hears(*"abcdef")
    await settled()
    assert call.server.taken == 4  # the connect, the one at work, two that wait

    gate.set()
    await settled()
    call.server.loses()
    await call.ended()

    assert log[2:] == [*"abcdef", ("disconnect", 1006)]


async def test_context_of_connect_is_that_of_handlers(hub: Hub) -> None:
    """Context variables that `connect` sets are there in each handler."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    class Context(Consumer):
        async def connect(self) -> None:
            variable.set("set")

        @on("get")
        async def get(self) -> str:
            return variable.get()

    call = Call(Context, hub)
    call.server.hears('{"type":"get","id":1}')
    await settled()
    call.server.loses()
    await call.ended()

    assert json.loads(call.server.messages[0]) == {"reply": 1, "data": "set"}


async def test_message_that_is_too_big_closes_with_1009(hub: Hub) -> None:
    """Also where the server's own limit is larger."""
    call = Call(Chat, hub)
    call.server.hears("x" * 1001)
    await call.ended()

    assert call.server.sent[-1] == {"type": "websocket.close", "code": 1009, "reason": "message is too big"}
    assert log[-1] == ("disconnect", 1009)


async def test_consumer_that_owns_its_wire_gets_its_messages_alone(hub: Hub) -> None:
    """No joined, no position."""

    class Raw(Chat, owns_wire=True):
        pass

    call = Call(Raw, hub)
    await settled()
    await hub.push("lobby", "hello")
    await settled()
    call.server.loses()
    await call.ended()

    assert call.server.messages == ["hello"]


async def test_class_gets_its_arguments_for_each_connection(hub: Hub) -> None:
    """`as_asgi` passes on what the class's constructor takes."""
    call = Call(Chat, hub, options={"colour": "red"})
    await settled()
    call.server.loses()
    await call.ended()

    assert log[0] == ("made", {"colour": "red"})


async def test_scope_is_released_when_connect_has_returned(hub: Hub) -> None:
    """An idle connection keeps neither the scope nor what hangs from it."""
    consumers: list[Consumer] = []

    class Curious(Consumer):
        async def connect(self) -> None:
            consumers.append(self)
            log.append(self.scope["path"])

    call = Call(Curious, hub, path="/ws")
    await settled()
    assert log == ["/ws"]
    assert consumers[0]._scope is None
    call.server.loses()
    await call.ended()


# ── Parameters of `connect` ──


@pytest.mark.parametrize(
    "scope",
    [
        {"path_params": {"room": "r", "other": 1}},
        {"url_route": {"kwargs": {"room": "r"}}},
        {"url_route": {"kwargs": {"room": "outer"}}, "path_params": {"room": "r"}},
        {"url_route": None, "path_params": {"room": "r"}, "extensions": None},
    ],
)
async def test_path_parameters_reach_connect_by_name(hub: Hub, scope: dict[str, Any]) -> None:
    """Starlette's and our router's; those that `connect` does not name are passed over."""
    call = Call(Chat, hub, **scope)
    await settled()
    call.server.loses()
    await call.ended()

    assert log[1] == ("connect", "r")


async def test_path_parameter_that_is_missing_is_a_mistake(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """A route that does not give what `connect` needs refuses its clients, and the log says why."""

    class Needy(Consumer):
        async def connect(self, user: str) -> None: ...

    call = Call(Needy, hub, path_params={"room": "r"})
    await call.ended()

    assert call.server.types == ["close"]
    assert "connect takes 'user', which is no path parameter of this route" in caplog.text


# ── Other calls ──


async def test_http_request_is_told_to_upgrade(hub: Hub) -> None:
    """A browser that opens the address sees why it gets nothing."""
    server = Server()
    await Chat.as_asgi(hub=hub)({"type": "http"}, server.receive, server.send)

    assert server.sent[0]["status"] == 426
    assert (b"upgrade", b"websocket") in server.sent[0]["headers"]


async def test_other_scopes_are_refused(hub: Hub) -> None:
    """As ASGI asks for."""
    server = Server()

    with pytest.raises(ValueError, match="scope type is 'lifespan'; expected 'websocket'"):
        await Chat.as_asgi(hub=hub)({"type": "lifespan"}, server.receive, server.send)


@pytest.mark.parametrize("can_respond", [True, False])
@pytest.mark.parametrize("why", ["closed", "layer"])
async def test_hub_that_cannot_serve_refuses(
    can_respond: bool, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A closed hub, or a layer that is down, is a 503 or a close that says *try again later*; the log says why."""
    layer = FakeLayer()
    hub = Hub(layer)
    if why == "closed":
        await hub.start()
        await hub.close()
    else:
        layer.failing_starts = 1
    call = Call(Chat, hub, **(RESPONSES if can_respond else {}))
    await call.ended()

    if can_respond:
        assert call.server.sent[0]["status"] == 503
    else:
        assert call.server.sent == [{"type": "websocket.close", "code": 1013, "reason": "not available"}]
    assert "connection refused: " in caplog.text


# ── A server that hands its socket over ──


class Offer:
    """What our interface server offers; its frames are those of ASGI."""

    def __init__(self) -> None:
        self.framing = ASGI_FRAMING
        self.wires: list[FakeWire] = []

    def adopt(self, peer: Peer, *, limits: Limits | None = None) -> Wire:
        self.limits = limits
        wire = FakeWire(peer)
        self.wires.append(wire)
        adopted: Wire = wire
        return adopted

    @property
    def wire(self) -> FakeWire:
        (wire,) = self.wires
        return wire


async def test_socket_is_adopted_and_the_call_ends(hub: Hub) -> None:
    """On our server the call returns when `connect` has, and the connection lives on without it."""
    offer = Offer()
    call = Call(Chat, hub, connects=False, extensions={"roomful.connection": offer})
    await call.ended()
    assert hub.statistics().connections == 1
    offer.wire.peer.received('{"type":"post","data":"hi"}')
    await settled()
    offer.wire.lose(1001)
    await settled()

    assert call.server.sent == []
    assert log == [("made", {}), ("connect", "lobby"), ("post", "hi"), ("disconnect", 1001)]


async def test_call_may_span_the_life_of_an_adopted_socket(hub: Hub) -> None:
    """With `detach=False` the call ends with the consumer's clean-up."""
    offer = Offer()
    call = Call(
        Chat, hub, connects=False, extensions={"roomful.connection": offer}, options={"detach": False}
    )
    await settled()
    assert not call.task.done()

    offer.wire.lose()
    await call.ended()

    assert log[-1] == ("disconnect", 1006)


async def test_adopted_socket_that_ends_during_connect(hub: Hub) -> None:
    """The call returns in good order."""

    class Slow(Chat):
        async def connect(self) -> None:
            await self.accept()
            await asyncio.Event().wait()

    offer = Offer()
    call = Call(Slow, hub, connects=False, extensions={"roomful.connection": offer})
    await settled()
    offer.wire.lose(1001)
    await call.ended()
    await settled()

    assert log[1:] == [("disconnect", 1001)]


async def test_offer_is_declined_by_setting() -> None:
    """`Hub(fast_path=False)` lets middleware see every message."""
    log.clear()
    hub = Hub(fast_path=False)
    offer = Offer()
    call = Call(Chat, hub, extensions={"roomful.connection": offer})
    await settled()
    call.server.loses()
    await call.ended()

    assert offer.wires == []
    assert call.server.types == ["accept", "send"]


async def test_ids_address_connections_of_any_wire(hub: Hub) -> None:
    """A connection's id is known to its consumer and to the hub alike."""
    ids: list[ConnectionId] = []

    class Named(Consumer):
        async def connect(self) -> None:
            ids.append(self.id)

    call = Call(Named, hub)
    await settled()
    await hub.send(ids[0], "hello")
    await hub.disconnect(ids[0])
    await call.ended()

    assert call.server.messages == ["hello"]
    assert call.server.types == ["accept", "send", "close"]
