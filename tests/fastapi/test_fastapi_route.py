"""Consumer routes in FastAPI: what reaches a consumer is what would reach an endpoint."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import msgspec
import pytest
from fastapi import (
    APIRouter,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    WebSocket,
    WebSocketException,
)
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from roomful import Consumer, ConsumerError, Event, Hub, Refuse, ReplyError, on
from roomful.fastapi import consumer_route

Session = WebSocketTestSession


class Post(msgspec.Struct):
    """A message as a struct."""

    text: str


class Draft(BaseModel):
    """A message as a pydantic model."""

    text: str
    votes: int = 0


@pytest.fixture
def hub() -> Hub:
    """A hub of one process."""
    return Hub()


def joined(session: Session) -> dict[str, object]:
    """Return the frame that says where a member stands."""
    frame: dict[str, object] = session.receive_json()
    assert frame["type"] == "roomful.joined"
    return frame


def ask(session: Session, type_: str, data: object = None) -> object:
    """Send an event with an id, and return what is replied."""
    session.send_json({"type": type_, "data": data, "id": 1})
    reply = session.receive_json()
    assert reply.pop("reply") == 1
    return reply


class Trace:
    """What a dependency with `yield` has done."""

    def __init__(self) -> None:
        self.open = 0
        self.total = 0

    async def __call__(self) -> AsyncIterator[int]:
        """Count those who use it now."""
        self.open += 1
        self.total += 1
        try:
            yield self.total
        finally:
            self.open -= 1


def test_route_path_parameters_and_dependencies_reach_connect_and_handlers(hub: Hub) -> None:
    """Path, query, header and cookie parameters and dependencies come as in any endpoint, per message too."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws/{room}", hub=hub)
    class Chat(Consumer):
        async def connect(
            self,
            room: str,
            limit: Annotated[int, Query()],
            agent: Annotated[str, Header(alias="user-agent")],
            theme: Annotated[str | None, Cookie()] = None,
        ) -> None:
            self.greeting = [room, limit, agent, theme]
            await self.join(room)

        @on("greet")
        async def greet(self) -> list[object]:
            return self.greeting

        @on("where")
        async def where(self, room: str, limit: int) -> list[object]:
            return [room, limit]

        @on("post")
        async def post(self, message: Post, limit: int) -> object:
            return [message.text, limit]

        @on("draft")
        def draft(self, message: Draft, limit: int) -> object:
            return [message.text, message.votes, limit]

    with (
        TestClient(app) as client,
        client.websocket_connect("/ws/a?limit=3", headers={"cookie": "theme=dark"}) as session,
    ):
        joined(session)
        assert ask(session, "greet") == {"data": ["a", 3, "testclient", "dark"]}
        assert ask(session, "where") == {"data": ["a", 3]}
        assert ask(session, "post", {"text": "hi"}) == {"data": ["hi", 3]}
        assert ask(session, "draft", {"text": "hi", "votes": 2}) == {"data": ["hi", 2, 3]}
        wrong = ask(session, "draft", {"votes": "many"})
        assert isinstance(wrong, dict)
        assert wrong["error"]["code"] == "invalid_message"
        assert "text" in wrong["error"]["message"]


def test_route_yield_dependencies_end_with_the_call_and_not_with_the_socket(hub: Hub) -> None:
    """A dependency of `connect` has ended when `connect` has returned, one of a handler with the handler."""
    app = FastAPI(lifespan=hub.lifespan)
    at_connect, at_message = Trace(), Trace()

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self, number: Annotated[int, Depends(at_connect)]) -> None:
            assert (number, at_connect.open) == (1, 1)
            await self.join("a")

        @on("look")
        async def look(self, _message: object, number: Annotated[int, Depends(at_message)]) -> list[int]:
            return [number, at_connect.open, at_message.open]

    with TestClient(app) as client, client.websocket_connect("/ws") as session:
        joined(session)
        assert ask(session, "look") == {"data": [1, 0, 1]}
        assert ask(session, "look") == {"data": [2, 0, 1]}
    assert (at_connect.open, at_message.open) == (0, 0)


def test_route_prefix_parameters_of_several_routers_reach_the_consumer(hub: Hub) -> None:
    """A router may be included twice; its prefixes' parameters are path parameters."""
    app = FastAPI(lifespan=hub.lifespan)
    router = APIRouter(prefix="/{tenant}")

    @consumer_route(router, "/ws/{number:int}", hub=hub)
    class Chat(Consumer):
        async def connect(self, tenant: str, number: int, region: str = "none") -> None:
            self.place = [region, tenant, number]

        @on("place")
        async def tell(self) -> list[object]:
            return self.place

        @on("tenant")
        async def tell_tenant(self, _message: object, tenant: str) -> str:
            return tenant

    app.include_router(router)
    app.include_router(router, prefix="/regions/{region}")
    with TestClient(app) as client:
        with client.websocket_connect("/acme/ws/7") as session:
            assert ask(session, "place") == {"data": ["none", "acme", 7]}
            assert ask(session, "tenant") == {"data": "acme"}
        with client.websocket_connect("/regions/eu/acme/ws/8") as session:
            assert ask(session, "place") == {"data": ["eu", "acme", 8]}


def test_route_in_a_mounted_application_finds_its_own_overrides(hub: Hub) -> None:
    """A mounted application's lifespan does not run; the hub starts at first use, and its overrides hold."""

    def user() -> str:
        return "real"

    inner = FastAPI()

    @consumer_route(inner, "/ws", hub=hub)
    class Chat(Consumer):
        @on("who")
        async def who(self, _message: object, name: Annotated[str, Depends(user)]) -> str:
            return name

    outer = FastAPI()
    outer.mount("/sub", inner)
    with TestClient(outer) as client:
        with client.websocket_connect("/sub/ws") as session:
            assert ask(session, "who") == {"data": "real"}
        inner.dependency_overrides[user] = lambda: "fake"
        with client.websocket_connect("/sub/ws") as session:
            assert ask(session, "who") == {"data": "fake"}
        client.portal.call(hub.close)  # type: ignore[union-attr] # entered above


def test_route_dependencies_of_application_and_router_run_once_per_connection(hub: Hub) -> None:
    """They belong to the ASGI call: they run before `connect`, and not for each message."""
    seen: list[str] = []
    app = FastAPI(lifespan=hub.lifespan, dependencies=[Depends(lambda: seen.append("app"))])

    def at_message() -> None:
        seen.append("message")

    router = APIRouter(dependencies=[Depends(lambda: seen.append("router"))])

    @consumer_route(router, "/ws", hub=hub, dependencies=[Depends(lambda: seen.append("route"))])
    class Chat(Consumer):
        async def connect(self) -> None:
            seen.append("connect")

        @on("x")
        async def x(self, _message: object, _nothing: Annotated[None, Depends(at_message)]) -> None:
            pass

    app.include_router(router)
    with TestClient(app) as client, client.websocket_connect("/ws") as session:
        ask(session, "x")
        ask(session, "x")
    assert seen == ["app", "router", "route", "connect", "message", "message"]


def refuse_http() -> None:
    """Refuse as HTTP endpoints do."""
    raise HTTPException(402, "pay first", headers={"x-price": "1"})


def refuse_websocket() -> None:
    """Refuse as WebSocket endpoints do."""
    raise WebSocketException(1008, "not you")


def test_route_http_exception_refuses_the_handshake_with_its_status(hub: Hub) -> None:
    """The application's exception handlers answer, as for any endpoint."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self, _x: Annotated[None, Depends(refuse_http)]) -> None:
            raise AssertionError

    with TestClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
            pass
        assert (refused.value.status_code, refused.value.json()) == (402, {"detail": "pay first"})
        assert refused.value.headers["x-price"] == "1"
        assert hub.statistics().connections == 0


def test_route_websocket_exception_refuses_or_closes(hub: Hub) -> None:
    """Before the connection is accepted it is refused; in a handler the connection is closed with the code."""
    app = FastAPI(lifespan=hub.lifespan)
    closed: list[int] = []

    @consumer_route(app, "/refused", hub=hub)
    class Refused(Consumer):
        async def connect(self, _x: Annotated[None, Depends(refuse_websocket)]) -> None:
            raise AssertionError

    @consumer_route(app, "/late", hub=hub)
    class Late(Consumer):
        async def connect(self) -> None:
            await self.join("a")
            raise WebSocketException(1008, "too late")

    @consumer_route(app, "/handler", hub=hub)
    class InHandler(Consumer):
        @on("x")
        async def x(self, _message: object, _x: Annotated[None, Depends(refuse_websocket)]) -> None:
            raise AssertionError

        async def disconnect(self, code: int) -> None:
            closed.append(code)

    with TestClient(app) as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/refused"):
            pass
        with client.websocket_connect("/late") as session:
            joined(session)
            with pytest.raises(WebSocketDisconnect) as late:
                session.receive_json()
        with client.websocket_connect("/handler") as session:
            session.send_json({"type": "x"})
            with pytest.raises(WebSocketDisconnect) as handler:
                session.receive_json()
    assert (late.value.code, handler.value.code, handler.value.reason) == (1008, 1008, "not you")
    assert closed == [1008]


def test_route_http_exception_in_a_handler_becomes_an_error_reply(hub: Hub) -> None:
    """The connection lives, and the client gets status and detail."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        @on("pay")
        async def pay(self, _message: object, _x: Annotated[None, Depends(refuse_http)]) -> None:
            raise AssertionError

        @on("own")
        async def own(self) -> None:
            raise ReplyError("sold_out", "none is left")

        @on("query")
        async def query(self, _message: object, number: Annotated[int, Query()]) -> int:
            return number

    with TestClient(app) as client, client.websocket_connect("/ws") as session:
        assert ask(session, "pay") == {"error": {"code": "http_402", "message": "pay first"}}
        assert ask(session, "own") == {"error": {"code": "sold_out", "message": "none is left"}}
        wrong = ask(session, "query")
        assert isinstance(wrong, dict)
        assert wrong["error"]["code"] == "invalid_message"
        assert "query.number" in wrong["error"]["message"]


def test_route_parameter_that_does_not_fit_refuses_as_fastapi_does(hub: Hub) -> None:
    """A path parameter of the wrong type is FastAPI's refusal, and nothing is left of the connection."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws/{number}", hub=hub)
    class Chat(Consumer):
        async def connect(self, number: int) -> None:
            raise AssertionError

    with TestClient(app) as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws/x"):
            pass
        assert hub.statistics().connections == 0


def test_route_refuse_carries_status_reason_and_headers(hub: Hub) -> None:
    """`Refuse` in `connect` is an HTTP response before the connection is accepted."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self) -> None:
            raise Refuse(429, "slow down", headers={"Retry-After": "7"})

    with TestClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
            pass
        assert (refused.value.status_code, refused.value.text) == (429, "slow down\n")
        assert refused.value.headers["retry-after"] == "7"


def test_route_security_classes_work(hub: Hub) -> None:
    """FastAPI's own security classes guard `connect` and single handlers."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(
            self, token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]
        ) -> None:
            self.token = token.credentials

        @on("token")
        async def tell(self) -> str:
            return self.token

        @on("key")
        async def key(
            self, _message: object, key: Annotated[str, Depends(APIKeyHeader(name="x-key"))]
        ) -> str:
            return key

    with TestClient(app) as client:
        with client.websocket_connect("/ws", headers={"authorization": "Bearer abc"}) as session:
            assert ask(session, "token") == {"data": "abc"}
            refused = ask(session, "key")
            assert isinstance(refused, dict)
            assert refused["error"]["code"] in ("http_401", "http_403")
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
            pass
        assert denied.value.status_code in (401, 403)


def test_route_dependency_may_use_the_websocket(hub: Hub) -> None:
    """A dependency may accept with headers, and may not receive."""
    app = FastAPI(lifespan=hub.lifespan)

    async def accepts(websocket: WebSocket) -> str:
        await websocket.accept(subprotocol="chat", headers=[(b"x-seen", b"1")])
        await websocket.send_text("welcome")
        return websocket.headers["host"]

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self, host: Annotated[str, Depends(accepts)]) -> None:
            await self.send(Event("host", host))

    with TestClient(app) as client, client.websocket_connect("/ws") as session:
        assert session.accepted_subprotocol == "chat"
        assert session.receive_text() == "welcome"
        assert session.receive_json() == {"type": "host", "data": "testserver"}


def test_route_test_client_works_with_and_without_with_and_twice(hub: Hub) -> None:
    """Each client brings a loop of its own; the hub follows when the last one is closed."""
    app = FastAPI(lifespan=hub.lifespan)

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self) -> None:
            await self.join("a")

        @on("post")
        async def post(self, message: Post) -> None:
            await self.hub.push("a", Event("post", {"text": message.text}))

    def talk(client: TestClient) -> None:
        with client.websocket_connect("/ws") as session:
            joined(session)
            session.send_json({"type": "post", "data": {"text": "hi"}})
            assert session.receive_json()["data"] == {"text": "hi"}

    for _ in range(2):
        with TestClient(app) as client:
            talk(client)
            talk(client)
    bare = TestClient(app)
    talk(bare)
    talk(bare)


def test_route_wrong_message_type_is_an_error_when_the_route_is_made(hub: Hub) -> None:
    """Nothing waits for the first client to find out."""

    class Opaque:
        pass

    app = FastAPI()

    class Chat(Consumer):
        @on("x")
        async def x(self, message: Opaque) -> None: ...

    with pytest.raises(ConsumerError, match="Opaque"):
        consumer_route(app, "/ws", hub=hub)(Chat)


def test_route_scope_is_released_after_connect(hub: Hub) -> None:
    """Without handlers that need it, an idle connection keeps no scope."""
    app = FastAPI(lifespan=hub.lifespan)
    kept: list[weakref.ref[Chat]] = []

    @consumer_route(app, "/ws", hub=hub)
    class Chat(Consumer):
        async def connect(self) -> None:
            kept.append(weakref.ref(self))
            self.path = self.scope["path"]

        @on("scope")
        async def tell(self) -> str:
            return repr(self.scope)

    with TestClient(app) as client, client.websocket_connect("/ws") as session:
        answer = ask(session, "scope")
        assert isinstance(answer, dict)
        assert answer["error"]["code"] == "internal"
    gc.collect()
    assert kept[0]() is None


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Keep tracebacks that tests cause out of the report."""
    with caplog.at_level("CRITICAL", logger="roomful"):
        yield
