"""The application: what an ASGI server gets for each WebSocket."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from roomful import Consumer, Event, Hub, on
from roomful.core.errors import ConnectionClosed, LayerError, Refuse
from roomful.core.limits import Limits
from roomful.core.names import ConnectionId
from roomful.core.ports import Peer, Wire
from roomful.endpoint.framing import ASGI_FRAMING
from tests.clock import VirtualLoop, after, other_tasks, settled
from tests.endpoint.server import Server
from tests.fakes import FakeLayer, FakeWire

log: list[Any] = []


class Chat(Consumer):
    """Does in `connect` what a test wants, and notes what happens."""

    def __init__(self, **options: object) -> None:
        log.append(("made", options))
        self.options = options

    async def connect(self, room: str = "lobby") -> None:
        log.append(("connect", room))
        await self.join(room)

    @on("post")
    async def post(self, message: str) -> str:
        log.append(("post", message))
        return message.upper()

    async def disconnect(self, code: int) -> None:
        log.append(("disconnect", code))


class Call:
    """One ASGI call of an application."""

    def __init__(self, consumer: type[Consumer], hub: Hub, *, connects: bool = True, **scope: Any) -> None:
        options = scope.pop("options", {})
        self.server = Server()
        self.hub = hub
        self.scope: dict[str, Any] = {"type": "websocket", "path": "/", **scope}
        if connects:
            self.server.connects()
        app = consumer.as_asgi(hub=hub, **options)
        self.task = asyncio.ensure_future(app(self.scope, self.server.receive, self.server.send))

    async def ended(self) -> None:
        await asyncio.wait_for(self.task, 60)


@pytest.fixture
async def hub() -> AsyncGenerator[Hub]:
    """Give a hub, and see to it that no connection, task or timer is left when the test has ended its calls."""
    log.clear()
    hub = Hub(limits=Limits(handshake_timeout_s=5, max_message_bytes=1000, max_inbox_messages=2))
    yield hub
    await settled()
    statistics = hub.statistics()
    assert (statistics.connections, statistics.ending, statistics.rooms) == (0, 0, 0)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert other_tasks() == set()
    assert loop.timers == []


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


# ── Refusing ──


class Refusing(Chat):
    async def connect(self) -> None:
        raise self.options["error"]  # type: ignore[misc] # an exception


RESPONSES = {"extensions": {"websocket.http.response": {}}}


async def test_refusal_is_an_http_response_where_the_server_can(hub: Hub) -> None:
    """Status, reason and headers reach the client; `disconnect` does not run."""
    error = Refuse(429, "slow down", headers={"Retry-After": "30"})
    call = Call(Refusing, hub, options={"error": error}, **RESPONSES)
    await call.ended()

    start, body = call.server.sent
    assert start["status"] == 429
    assert (b"retry-after", b"30") in start["headers"]
    assert body["body"] == b"slow down\n"
    assert len(log) == 1


async def test_refusal_elsewhere_is_the_servers_own(hub: Hub) -> None:
    """Without the extension a close before the accept is a 403."""
    call = Call(Refusing, hub, options={"error": Refuse(404)})
    await call.ended()

    assert call.server.sent == [{"type": "websocket.close"}]


async def test_refusal_after_the_accept_is_a_close_code(hub: Hub) -> None:
    """The reason is cut to what a close frame holds, between characters; `disconnect` runs."""

    class Late(Chat):
        async def connect(self) -> None:
            await self.accept()
            raise Refuse(401, "é" * 100)

    call = Call(Late, hub)
    await call.ended()

    assert call.server.types == ["accept", "close"]
    assert call.server.sent[1]["code"] == 4500
    assert call.server.sent[1]["reason"] == "é" * 61
    assert log[-1] == ("disconnect", 4500)


@pytest.mark.parametrize("error", [ValueError("secret"), LayerError("down"), ConnectionClosed(1000)])
async def test_connect_that_fails_is_a_500_without_internals(
    hub: Hub, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever `connect` raises, also because of another's closed connection, refuses the client and is logged."""
    call = Call(Refusing, hub, options={"error": error}, **RESPONSES)
    await call.ended()

    assert call.server.sent[0]["status"] == 500
    assert call.server.sent[1]["body"] == b"internal error\n"
    assert "connect failed" in caplog.text


async def test_connect_that_closes_and_uses_the_connection(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """Who closes in `connect` and goes on gets `ConnectionClosed`, which is no failure to log."""

    class Closing(Chat):
        async def connect(self) -> None:
            await self.close(4501, "no")
            await self.join("lobby")

    call = Call(Closing, hub)
    await call.ended()

    assert call.server.types == ["accept", "close"]
    assert log[-1] == ("disconnect", 4501)
    assert caplog.records == []


async def test_handshake_that_takes_too_long_is_refused(hub: Hub) -> None:
    """After the time-out the client gets a 503, and `connect` is cancelled when the server says that it has gone."""
    ends: list[str] = []

    class Endless(Chat):
        async def connect(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

    call = Call(Endless, hub, **RESPONSES)
    await after(4.9)
    assert call.server.sent == []
    await call.ended()

    assert call.server.sent[0]["status"] == 503
    assert ends == ["cancelled"]
    assert len(log) == 1


async def test_handshake_that_was_accepted_in_time_goes_on(hub: Hub) -> None:
    """Only the accept is limited."""

    class Slow(Chat):
        async def connect(self) -> None:
            await self.accept()
            await asyncio.sleep(20)
            await self.send("at last")

    call = Call(Slow, hub)
    await after(21)
    call.server.loses()
    await call.ended()

    assert call.server.messages == ["at last"]


# ── Ends at odd times ──


async def test_client_that_goes_before_its_handshake_leaves_nothing(hub: Hub) -> None:
    """No consumer is made for it."""
    call = Call(Chat, hub, connects=False)
    call.server.loses()
    await call.ended()

    assert (log, call.server.sent) == ([], [])


async def test_call_that_is_cancelled_before_its_handshake_leaves_nothing(hub: Hub) -> None:
    """A server may go down while a client is still connecting."""
    call = Call(Chat, hub, connects=False)
    await settled()
    call.task.cancel()
    await settled()

    assert call.task.cancelled()
    assert log == []


@pytest.mark.parametrize("accepts", [True, False])
async def test_client_that_goes_during_connect_cancels_it(
    hub: Hub, accepts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The call returns in good order; `disconnect` runs if the connection had been accepted."""

    class Slow(Chat):
        async def connect(self) -> None:
            if accepts:
                await self.join("lobby")
            await asyncio.Event().wait()

    call = Call(Slow, hub)
    await settled()
    call.server.loses(1001)
    await call.ended()

    assert log[1:] == ([("disconnect", 1001)] if accepts else [])
    assert caplog.records == []


@pytest.mark.parametrize("during", ["connect", "the rest"])
async def test_server_that_cancels_the_call_ends_the_connection(hub: Hub, during: str) -> None:
    """The cancellation passes, and the consumer cleans up."""

    class Slow(Chat):
        async def connect(self) -> None:
            await self.accept()
            if during == "connect":
                await asyncio.Event().wait()

    call = Call(Slow, hub)
    await settled()
    call.task.cancel()
    await settled()

    assert call.task.cancelled()
    assert log[1:] == [("disconnect", 1006)]


async def test_consumer_that_cannot_be_made_opens_nothing(hub: Hub) -> None:
    """An error in the constructor is the server's to report; no connection is left behind."""

    class Broken(Consumer):
        def __init__(self) -> None:
            raise ValueError("constructor")

    call = Call(Broken, hub)

    with pytest.raises(ValueError, match="constructor"):
        await call.ended()
    assert hub.statistics().connections == 0


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
