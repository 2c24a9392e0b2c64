"""Routing for bare ASGI: which application gets a connection, by its protocol and by its path.

    application = ProtocolTypeRouter(
        {
            "http": web,
            "websocket": URLRouter([
                route("/ws/chat/{room}", Chat.as_asgi(hub=hub)),
                mount("/ws/{team:int}", URLRouter([route("/board", Board.as_asgi(hub=hub))])),
            ]),
        },
        hub=hub,
    )

It redirects nothing, looks at no method and no host, and matches no regular expressions.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .consumers import Scope
from .core.access import SCOPE_OUTER
from .core.errors import RouteError
from .core.refusal import refusal_response, respond
from .endpoint import Receive, Send, TellBrowsers

if TYPE_CHECKING:
    from .assembly import Hub

__all__ = ("ProtocolTypeRouter", "Route", "RouteError", "URLRouter", "mount", "route")

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""


class _Converter(NamedTuple):
    pattern: str
    convert: Callable[[str], object]
    samples: tuple[str, ...]
    """Values that no narrower pattern matches by chance; they tell whether one route hides another."""


_CONVERTERS: Final[Mapping[str, _Converter]] = {
    "str": _Converter("[^/]+", str, ("\x01\x02",)),
    # At most 18 digits: such a number fits 64 bits, and Python refuses to read one of thousands.
    "int": _Converter("[0-9]{1,18}", int, ("900719925474099", "0")),
    "path": _Converter("(?s:.*)", str, ("", "\x01", "\x01/\x02", "\x01/\x02/\x03/\x04/")),
}
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern with its application; made by `route` and `mount`.

    Attributes:
        pattern: As it was written.
        app: The application.
        is_mount: Whether the pattern is a prefix.
        converters: The name of each parameter's converter, in the order of the pattern.
    """

    pattern: str
    app: App
    is_mount: bool
    converters: Mapping[str, str] = field(init=False)
    _regex: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.app):
            raise RouteError(f"application of {self.pattern!r} is {self.app!r}; expected an ASGI application")
        converters, regex = _compile(self.pattern)
        if self.is_mount:
            if "path" in converters.values() or self.pattern.endswith("/"):
                raise RouteError(f"mount {self.pattern!r} ends with a slash or a path; expected a segment")
            regex += r"(?=/|\Z)"
            _check_inner_names(self, converters)
        object.__setattr__(self, "converters", converters)
        object.__setattr__(self, "_regex", re.compile(regex))

    def match(self, path: str) -> tuple[dict[str, object], str] | None:
        """Return the parameters and the part of the path that matched, or None."""
        found = self._regex.match(path) if self.is_mount else self._regex.fullmatch(path)
        if found is None:
            return None
        values = {name: _CONVERTERS[kind].convert(found[name]) for name, kind in self.converters.items()}
        return values, found[0]

    def samples(self) -> Iterable[str]:
        """Return paths that stand for all that the route matches."""
        paths = [self.pattern]
        for name, kind in self.converters.items():
            written = f"{{{name}}}", f"{{{name}:{kind}}}"
            paths = [
                path.replace(written[0], value).replace(written[1], value)
                for path in paths
                for value in _CONVERTERS[kind].samples
            ]
        return [path + tail for path in paths for tail in ("", "/", "/\x01")] if self.is_mount else paths


def route(pattern: str, app: App) -> Route:
    """Give the paths that fit a pattern as a whole to an application.

    Args:
        pattern: Begins with a slash. `{name}` is one segment or a part of one, `{name:int}` up to 18 digits, and
            `{name:path}` all the rest, slashes and nothing at all included. A segment has at most one parameter.
            The values reach the application in `scope["path_params"]`, `int` as numbers.
        app: The application.

    Raises:
        RouteError: The pattern is malformed.
    """
    if isinstance(app, URLRouter):
        raise RouteError(f"route {pattern!r} leads to a router, which needs the rest of the path; use mount")
    return Route(pattern, app, is_mount=False)


def mount(prefix: str, app: App) -> Route:
    """Give all paths below a prefix to an application, such as another router, with `root_path` lengthened by it.

    Args:
        prefix: A pattern as for `route`, without `{name:path}` and without a slash at its end.
        app: The application.

    Raises:
        RouteError: The prefix is malformed, or a router within names one of its parameters again.
    """
    return Route(prefix, app, is_mount=True)


class URLRouter:
    """Chooses an application by the path; the first route that fits gets the connection.

    A WebSocket that no route fits is refused with 404 (with the server's own refusal where it cannot send a response;
    with 4503 inside `roomful.endpoint.TellBrowsers`), a request is answered with 404. Under a `root_path` the patterns
    stand for what follows it, as in Starlette.

    Args:
        routes: What `route` and `mount` return.

    Raises:
        RouteError: A route can never be reached, because an earlier one takes all its paths.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        for place, later in enumerate(self.routes):
            if not isinstance(later, Route):
                raise RouteError(f"URLRouter got {later!r}; expected what route(…) or mount(…) returns")
            samples = list(later.samples())
            for earlier in self.routes[:place]:
                if all(earlier.match(path) is not None for path in samples):
                    raise RouteError(
                        f"route {later.pattern!r} can never be reached: {earlier.pattern!r} takes all its paths"
                    )

    def __repr__(self) -> str:
        return f"<URLRouter {[route.pattern for route in self.routes]!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one `websocket` or `http` scope (ASGI 3)."""
        if scope["type"] not in ("websocket", "http"):
            raise ValueError(f"scope type is {scope['type']!r}; URLRouter expects 'websocket' or 'http'")
        root, path = _split(scope)
        for candidate in self.routes:
            match = candidate.match(path)
            if match is not None:
                values, taken = match
                inner = {**scope, "path_params": {**(scope.get("path_params") or {}), **values}}
                inner[SCOPE_OUTER] = scope
                if candidate.is_mount:
                    # As ASGI has it: a path without its root path would confuse what is within.
                    inner["root_path"], inner["path"] = root + taken, root + path
                await candidate.app(inner, receive, send)
                return
        await _not_found(scope, send)


class ProtocolTypeRouter:
    """Chooses an application by the type of the scope, and runs a hub as long as the server runs.

    `lifespan` is always answered. The hub is started when the lifespan application, if there is one, has started, and
    closed before it is told to shut down, so that consumers find what they need until their end. Where the hub tells
    browsers why they are refused (`Admission(tell_browsers=True)`), a path that leads nowhere does so too.

    Args:
        apps: An application for each type: `http`, `websocket`, and if wanted `lifespan`.
        hub: The hub to start and to close. Without, it starts by itself and nobody closes it.

    Raises:
        RouteError: There is no application, or one is not callable.
    """

    def __init__(self, apps: Mapping[str, App], *, hub: Hub | None = None) -> None:
        if not apps:
            raise RouteError("ProtocolTypeRouter got no application; expected {'websocket': app} or more")
        for type_, app in apps.items():
            if not callable(app):
                raise RouteError(f"application of {type_!r} is {app!r}; expected an ASGI application")
        self.apps: Mapping[str, App] = dict(apps)
        self.hub = hub
        self._served: dict[str, App] = dict(apps)
        if hub is not None and hub.gate.rules.tell_browsers and "websocket" in apps:
            self._served["websocket"] = TellBrowsers(apps["websocket"], hub=hub)

    def __repr__(self) -> str:
        return f"<ProtocolTypeRouter {sorted(self.apps)!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope (ASGI 3).

        Raises:
            ValueError: No application serves scopes of this type.
        """
        type_ = scope["type"]
        if type_ == "lifespan":
            await _Life(self.apps.get("lifespan", _quiet_life), self.hub).run(scope, receive, send)
        elif (app := self._served.get(type_)) is not None:
            await app(scope, receive, send)
        else:
            known = ", ".join(map(repr, sorted(self.apps)))
            raise ValueError(f"scope type is {type_!r}; this ProtocolTypeRouter has applications for {known}")


class _Life:
    """One lifespan scope, with a hub inside the life of its application."""

    def __init__(self, app: App, hub: Hub | None) -> None:
        self._app = app
        self._hub = hub
        self._has_answered = False
        self._has_entered = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan with the hub's inside."""

        async def receive_around() -> Scope:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._close()
            return message

        async def send_around(message: Scope) -> None:
            if message["type"] == "lifespan.startup.complete" and self._hub is not None:
                # An error here rises inside the application, so that it is unwound too.
                await self._hub.__aenter__()
                self._has_entered = True
            self._has_answered = True
            await send(message)

        failure = "lifespan application ended at startup"
        try:
            await self._app(scope, receive_around, send_around)
        except Exception as error:
            if self._has_answered:
                raise
            failure = f"{type(error).__name__}: {error}"
        finally:
            await self._close()
        # Servers take silence for "knows no lifespan" and go on.
        if not self._has_answered:
            await send({"type": "lifespan.startup.failed", "message": failure})

    async def _close(self) -> None:
        if self._hub is not None and self._has_entered:
            self._has_entered = False
            await self._hub.close()


async def _quiet_life(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _not_found(scope: Scope, send: Send) -> None:
    status, body, headers = refusal_response(404, "not found")
    if scope["type"] == "http":
        await respond(send, status, body, headers)
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        await respond(send, status, body, headers, prefix="websocket.http.response")
    else:
        await send({"type": "websocket.close"})


def _split(scope: Scope) -> tuple[str, str]:
    """Return the root path and what follows it; not every server puts the one in front of the path."""
    path: str = scope["path"]
    root: str = (scope.get("root_path") or "").rstrip("/")
    rest = path.removeprefix(root)
    return root, rest if not rest or rest.startswith("/") else path


def _compile(pattern: str) -> tuple[dict[str, str], str]:
    if not isinstance(pattern, str) or not pattern.startswith("/"):  # type: ignore[redundant-expr] # unchecked callers
        raise RouteError(f"pattern is {pattern!r}; expected a text that begins with a slash")

    def wrong(problem: str) -> RouteError:
        return RouteError(f"pattern {pattern!r} has {problem}")

    converters: dict[str, str] = {}
    segments = []
    for segment in pattern.split("/"):
        parameters = list(_PARAMETER.finditer(segment))
        literal = _PARAMETER.sub("", segment)
        if "{" in literal or "}" in literal:
            raise wrong(f"a brace without its partner in {segment!r}")
        if len(parameters) > 1:
            raise wrong(f"two parameters in {segment!r}; where one ends is ambiguous")
        if not parameters:
            segments.append(re.escape(segment))
            continue
        [found] = parameters
        name, _, kind = found[1].partition(":")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise wrong(f"the parameter {name!r}; expected a name as of an argument")
        if name in converters:
            raise wrong(f"the parameter {name!r} twice")
        if ":" not in found[1]:
            kind = "str"
        if kind not in _CONVERTERS:
            raise wrong(f"the converter {kind!r}; expected {', '.join(_CONVERTERS)}")
        if kind == "path" and not pattern.endswith("/" + found[0]):
            raise wrong(f"{found[0]} before its end; a path takes the whole rest")
        converters[name] = kind
        before, after = re.escape(segment[: found.start()]), re.escape(segment[found.end() :])
        segments.append(f"{before}(?P<{name}>{_CONVERTERS[kind].pattern}){after}")
    return converters, "/".join(segments)


def _check_inner_names(outer: Route, names: Iterable[str]) -> None:
    if isinstance(outer.app, URLRouter):
        for inner in outer.app.routes:
            for name in names:
                if name in inner.converters:
                    raise RouteError(
                        f"mount {outer.pattern!r} and route {inner.pattern!r} in it both have the parameter {name!r}"
                    )
            if inner.is_mount:
                _check_inner_names(inner, names)
