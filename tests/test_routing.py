"""`roomful.routing`: which application gets a connection, and the hub's life inside the server's."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomful import Consumer, Hub, HubClosed, LayerError
from roomful.layers.memory import MemoryLayer
from roomful.routing import ProtocolTypeRouter, RouteError, URLRouter, mount, route

Scope = MutableMapping[str, Any]


class Recorder:
    """An application that notes the scopes it gets."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.scopes.append(scope)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing, as an application."""


async def ask(app: Any, path: str, **scope: Any) -> list[Scope]:
    """Send one scope to an application that needs no message; return what it sends."""
    sent: list[Scope] = []

    async def send(message: Scope) -> None:
        sent.append(message)

    async def receive() -> Scope:
        raise AssertionError("the application asked for a message")

    await app({"type": "websocket", "path": path, **scope}, receive, send)
    return sent


# ── Patterns ──


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/", "/", {}),
        ("/chat", "/chat", {}),
        ("/chat", "/chat/", None),
        ("/chat", "/chat\n", None),
        ("/chat.json", "/chatXjson", None),
        ("/chat/{room}", "/chat/lobby", {"room": "lobby"}),
        ("/chat/{room:str}", "/chat/größe 1", {"room": "größe 1"}),
        ("/chat/{room}", "/chat/", None),
        ("/chat/{room}", "/chat/a/b", None),
        ("/chat/{room}/users", "/chat/a/users", {"room": "a"}),
        ("/user-{id:int}.ws", "/user-007.ws", {"id": 7}),
        ("/n/{id:int}", "/n/x", None),
        ("/n/{id:int}", "/n/-1", None),
        ("/n/{id:int}", "/n/٣", None),
        ("/n/{id:int}", "/n/999999999999999999", {"id": 999_999_999_999_999_999}),
        ("/n/{id:int}", "/n/" + "9" * 5000, None),
        ("/f/{file:path}", "/f/a/b.txt", {"file": "a/b.txt"}),
        ("/f/{file:path}", "/f/", {"file": ""}),
        ("/f/{file:path}", "/f", None),
        ("/{a}/{b:int}/{c:path}", "/x/2/y/z", {"a": "x", "b": 2, "c": "y/z"}),
    ],
)
async def test_route_matches_whole_path(pattern: str, path: str, expected: dict[str, object] | None) -> None:
    """A route fits a path as a whole, and its parameters arrive converted."""
    app = Recorder()

    await ask(URLRouter([route(pattern, app)]), path)

    assert [scope["path_params"] for scope in app.scopes] == ([] if expected is None else [expected])


async def test_first_route_that_fits_gets_the_connection() -> None:
    """Routes are tried in their order."""
    special, general = Recorder(), Recorder()
    router = URLRouter([route("/chat/special", special), route("/chat/{room}", general)])

    await ask(router, "/chat/special")
    await ask(router, "/chat/other")

    assert (len(special.scopes), len(general.scopes)) == (1, 1)


async def test_router_leaves_the_outer_scope_alone() -> None:
    """What wraps the router does not see its parameters; those that came with the scope stay."""
    app = Recorder()
    scope = {"type": "websocket", "path": "/a/b", "path_params": {"before": 1}}

    await URLRouter([route("/a/{x}", app)])(scope, None, None)  # type: ignore[arg-type] # not used

    assert scope["path_params"] == {"before": 1}
    assert app.scopes[0]["path_params"] == {"before": 1, "x": "b"}


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("chat", "begins with a slash"),
        ("", "begins with a slash"),
        (None, "begins with a slash"),
        ("/{room", "brace without its partner"),
        ("/room}", "brace without its partner"),
        ("/{{room}}", "brace without its partner"),
        ("/{}", "expected a name"),
        ("/{:int}", "expected a name"),
        ("/{a b}", "expected a name"),
        ("/{class}", "expected a name"),
        ("/{a:uuid}", "converter 'uuid'; expected str, int, path"),
        ("/{a:}", "converter ''"),
        ("/{a}/{a}", "'a' twice"),
        ("/{a}-{b}", "two parameters"),
        ("/{a:path}/b", "takes the whole rest"),
        ("/x{a:path}", "takes the whole rest"),
    ],
)
@pytest.mark.parametrize("make", [route, mount])
def test_malformed_pattern_is_refused_when_made(
    make: Callable[..., object], pattern: Any, problem: str
) -> None:
    """A pattern that cannot work says so at once, with what was expected."""
    with pytest.raises(RouteError, match=problem):
        make(pattern, nothing)


@pytest.mark.parametrize(
    ("earlier", "later", "hidden"),
    [
        ("/chat/{a}", "/chat/{b}", True),
        ("/chat/{a}", "/chat/lobby", True),
        ("/chat/{a}", "/chat/{n:int}", True),
        ("/{p:path}", "/chat/{a}", True),
        ("/chat", "/chat", True),
        ("/x{a}", "/xy{a}", True),
        ("/chat/{n:int}", "/chat/{a}", False),
        ("/chat/{a}", "/chat/{p:path}", False),
        ("/chat/{a}/{b}", "/chat/{p:path}", False),
        ("/chat/lobby", "/chat/{a}", False),
        ("/xy{a}", "/x{a}", False),
        ("/n/0", "/n/{n:int}", False),
    ],
)
def test_route_that_can_never_be_reached_is_refused(earlier: str, later: str, hidden: bool) -> None:
    """A route whose paths an earlier one takes is an error when the router is made; overlap alone is none."""
    routes = [route(earlier, nothing), route(later, nothing)]

    if hidden:
        with pytest.raises(RouteError, match="can never be reached"):
            URLRouter(routes)
    else:
        assert URLRouter(routes).routes == tuple(routes)


def test_mount_hides_what_is_below_it() -> None:
    """A mount takes all paths below its prefix, so that it comes last."""
    below, board = mount("/t/{team}", nothing), route("/t/{team}/board", nothing)

    assert URLRouter([board, below]).routes == (board, below)
    with pytest.raises(RouteError, match="can never be reached"):
        URLRouter([below, board])
    with pytest.raises(RouteError, match="can never be reached"):
        URLRouter([route("/{p:path}", nothing), below])
    assert URLRouter([route("/t/{team}", nothing), below]).routes[1] is below


def test_router_takes_routes_and_routes_take_applications() -> None:
    """Other things in their place are refused when they are made."""
    with pytest.raises(RouteError, match="expected what route"):
        URLRouter([nothing])  # type: ignore[list-item] # the mistake
    with pytest.raises(RouteError, match="expected an ASGI application"):
        route("/", None)  # type: ignore[arg-type] # the mistake
    with pytest.raises(RouteError, match="use mount"):
        route("/", URLRouter([]))
    with pytest.raises(RouteError, match="expected a segment"):
        mount("/a/", nothing)
    with pytest.raises(RouteError, match="expected a segment"):
        mount("/a/{p:path}", nothing)


# ── Nesting and root_path ──


async def test_nested_routers_share_the_path() -> None:
    """A mounted router sees what follows the prefix, and the parameters of both reach the application."""
    app = Recorder()
    inner = URLRouter([mount("/board", URLRouter([route("/{board}", app)]))])
    router = URLRouter([mount("/t/{team:int}", inner)])

    await ask(router, "/t/5/board/kitchen")

    assert app.scopes[0]["path_params"] == {"team": 5, "board": "kitchen"}
    assert app.scopes[0]["root_path"] == "/t/5/board"
    assert app.scopes[0]["path"] == "/t/5/board/kitchen"


async def test_prefix_ends_with_a_segment() -> None:
    """`/t` is no prefix of `/top`."""
    app = Recorder()
    router = URLRouter([mount("/t", app)])

    await ask(router, "/top")
    await ask(router, "/t\n")
    assert app.scopes == []

    await ask(router, "/t")
    await ask(router, "/t/op")
    assert [scope["root_path"] for scope in app.scopes] == ["/t", "/t"]


def test_nested_parameters_have_different_names() -> None:
    """The inner of two parameters of one name would hide the outer one."""
    inner = URLRouter([mount("/x", URLRouter([route("/{id}", nothing)]))])

    with pytest.raises(RouteError, match="both have the parameter 'id'"):
        mount("/{id}", inner)


@pytest.mark.parametrize(
    ("root_path", "path", "found"),
    [
        ("", "/a/1", True),
        ("/api", "/api/a/1", True),
        ("/api/", "/api/a/1", True),
        ("/api", "/a/1", True),
        ("/", "/a/1", True),
        ("/a", "/a/1", False),
        ("/api", "/apia/1", False),
        ("/api", "/api", False),
    ],
)
async def test_patterns_stand_for_what_follows_the_root_path(root_path: str, path: str, found: bool) -> None:
    """Under a root path the same routes work, whether the server puts it in front of the path or not."""
    flat, nested = Recorder(), Recorder()

    await ask(URLRouter([route("/a/{n:int}", flat)]), path, root_path=root_path)
    await ask(URLRouter([mount("/a", URLRouter([route("/{n:int}", nested)]))]), path, root_path=root_path)

    assert len(flat.scopes) == len(nested.scopes) == int(found)
    if found:
        assert nested.scopes[0]["root_path"] == root_path.rstrip("/") + "/a"


# ── What no route fits ──


async def test_unknown_path_of_a_websocket_is_404_where_the_server_can_say_so() -> None:
    """The client gets an HTTP response in place of the handshake."""
    start, body = await ask(URLRouter([]), "/x", extensions={"websocket.http.response": {}})

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert body == {"type": "websocket.http.response.body", "body": b"not found\n"}


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}])
async def test_unknown_path_of_a_websocket_is_closed_elsewhere(extensions: dict[str, Any]) -> None:
    """Without that extension the server is asked to refuse by itself."""
    assert await ask(URLRouter([]), "/x", **extensions) == [{"type": "websocket.close"}]


async def test_unknown_path_of_a_request_is_404() -> None:
    """A router serves HTTP too."""
    start, body = await ask(URLRouter([]), "/x", type="http")

    assert (start["type"], start["status"]) == ("http.response.start", 404)
    assert body["body"] == b"not found\n"


# ── Protocols ──


async def test_protocol_router_goes_by_the_type() -> None:
    """Each type of scope has its application."""
    web, sockets = Recorder(), Recorder()
    router = ProtocolTypeRouter({"http": web, "websocket": sockets})

    await ask(router, "/", type="http")
    await ask(router, "/", type="websocket")

    assert [scope["type"] for scope in web.scopes + sockets.scopes] == ["http", "websocket"]
    assert repr(router) == "<ProtocolTypeRouter ['http', 'websocket']>"


async def test_unknown_protocol_is_a_clear_error() -> None:
    """The error names what came and what is there."""
    with pytest.raises(ValueError, match=r"scope type is 'http'; this .* applications for 'websocket'"):
        await ask(ProtocolTypeRouter({"websocket": nothing}), "/", type="http")
    with pytest.raises(ValueError, match="expects 'websocket' or 'http'"):
        await ask(URLRouter([]), "/", type="lifespan")
    with pytest.raises(RouteError, match="got no application"):
        ProtocolTypeRouter({})
    with pytest.raises(RouteError, match="application of 'http' is None"):
        ProtocolTypeRouter({"http": None})  # type: ignore[dict-item] # the mistake


# ── Lifespan ──


class Server:
    """The server's side of a lifespan."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Scope] = asyncio.Queue(2)
        self.answers: asyncio.Queue[Scope] = asyncio.Queue(2)

    async def startup(self) -> Scope:
        await self.messages.put({"type": "lifespan.startup"})
        return await self.answers.get()

    async def shutdown(self) -> Scope:
        await self.messages.put({"type": "lifespan.shutdown"})
        return await self.answers.get()


@asynccontextmanager
async def life_of(app: Any) -> AsyncIterator[Server]:
    """Run an application's lifespan."""
    server = Server()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(app({"type": "lifespan"}, server.messages.get, server.answers.put))
        yield server
        await task


class Unreachable(MemoryLayer):
    """A layer that cannot be started."""

    async def start(self, deliver: Any, suspect: Any) -> None:
        raise LayerError("nobody is there")


async def test_lifespan_is_answered_without_a_hub() -> None:
    """A server that speaks lifespan is told that all is well."""
    async with life_of(ProtocolTypeRouter({"websocket": nothing})) as server:
        assert await server.startup() == {"type": "lifespan.startup.complete"}
        assert await server.shutdown() == {"type": "lifespan.shutdown.complete"}


async def test_hub_lives_as_long_as_the_server() -> None:
    """The hub is started at startup and closed at shutdown."""
    hub = Hub()
    async with life_of(ProtocolTypeRouter({"websocket": nothing}, hub=hub)) as server:
        await server.startup()
        assert hub.push_nowait("room", "started").done()
        await server.shutdown()

    with pytest.raises(HubClosed):
        await hub.push("room", "too late")


async def test_server_can_start_again() -> None:
    """A second life of the same application opens the hub again."""
    hub = Hub()
    for _ in range(2):
        async with life_of(ProtocolTypeRouter({"websocket": nothing}, hub=hub)) as server:
            await server.startup()
            assert hub.push_nowait("room", "started").done()
            await server.shutdown()


async def test_hub_lives_inside_the_life_of_the_application() -> None:
    """The application is up before the hub is, and still up when the hub closes."""
    hub = Hub()
    seen = []

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        seen.append(hub.engine.loop is not None)
        await send({"type": "lifespan.startup.complete"})
        seen.append(hub.engine.loop is not None)
        assert (await receive())["type"] == "lifespan.shutdown"
        with pytest.raises(HubClosed):
            await hub.push_nowait("room", "closed already")
        await send({"type": "lifespan.shutdown.complete"})

    async with life_of(ProtocolTypeRouter({"lifespan": application}, hub=hub)) as server:
        assert await server.startup() == {"type": "lifespan.startup.complete"}
        assert await server.shutdown() == {"type": "lifespan.shutdown.complete"}

    assert seen == [False, True]


async def test_hub_that_cannot_start_fails_the_startup() -> None:
    """The server is told why, and does not go on without a hub."""
    router = ProtocolTypeRouter({"websocket": nothing}, hub=Hub(Unreachable()))

    async with life_of(router) as server:
        assert await server.startup() == {
            "type": "lifespan.startup.failed",
            "message": "LayerError: nobody is there",
        }


async def test_application_that_fails_to_start_fails_the_startup() -> None:
    """Servers would take an error without an answer for an application that knows no lifespan."""

    async def broken(scope: Scope, receive: Any, send: Any) -> None:
        raise LookupError("no database")

    for app, text in (
        (broken, "LookupError: no database"),
        (nothing, "lifespan application ended at startup"),
    ):
        async with life_of(ProtocolTypeRouter({"lifespan": app})) as server:
            assert await server.startup() == {"type": "lifespan.startup.failed", "message": text}


async def test_hub_is_closed_when_the_application_fails_while_it_runs() -> None:
    """An error of the application reaches the server, and the hub is closed all the same."""
    hub = Hub()

    async def broken(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("database is gone")

    with pytest.raises(ExceptionGroup) as caught:
        async with life_of(ProtocolTypeRouter({"lifespan": broken}, hub=hub)) as server:
            await server.startup()

    assert caught.group_contains(LookupError, match="database is gone")
    with pytest.raises(HubClosed):
        await hub.push("room", "too late")


# ── With a consumer ──


async def test_path_parameters_reach_connect_by_their_names() -> None:
    """A consumer asks for a parameter by name, and gets it converted."""
    seen: list[tuple[int, str]] = []

    class Board(Consumer):
        async def connect(self, team: int, board: str) -> None:
            seen.append((team, board))

    hub = Hub()
    router = URLRouter([mount("/t/{team:int}", URLRouter([route("/{board}", Board.as_asgi(hub=hub))]))])
    messages: asyncio.Queue[Scope] = asyncio.Queue(2)
    messages.put_nowait({"type": "websocket.connect"})
    messages.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async with hub:
        await router({"type": "websocket", "path": "/t/5/kitchen"}, messages.get, asyncio.Queue(5).put)

    assert seen == [(5, "kitchen")]
