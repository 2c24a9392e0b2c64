"""Injection: calls a method with what FastAPI fills its parameters with, for the time of that call only.

Dependencies with `yield` end when the method returns, because each call is a small WebSocket route of its own inside
the real one. The inner route is built when the names of the path's parameters are known: at the first call.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import WebSocket, params
from fastapi.routing import APIWebSocketRoute

from ..consumers import ConsumerBase, Scope
from ..hub import Connection
from .socket import ConnectionSocket

__all__ = ("Injected", "is_marked")

_SOCKET: Final = "roomful_websocket"
_CALL: Final = "roomful.call"


@dataclass(slots=True)
class _Call:
    """One call under way, carried to the inner endpoint by its scope."""

    consumer: ConsumerBase
    args: tuple[object, ...]
    result: object = None


class Injected:
    """A method whose parameters FastAPI fills.

    Args:
        function: The method, unbound.
        parameters: Those that FastAPI is to fill.
    """

    __slots__ = ("_function", "_parameters", "_routes")

    def __init__(
        self, function: Callable[..., Awaitable[object]], parameters: Iterable[inspect.Parameter]
    ) -> None:
        self._function = function
        self._parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        self._routes: dict[tuple[frozenset[str], object], APIWebSocketRoute] = {}
        self._route(
            frozenset(), None
        )  # a dependency that FastAPI cannot analyse is an error now, not at a client

    async def call(
        self,
        consumer: ConsumerBase,
        connection: Connection,
        scope: Scope,
        args: tuple[object, ...] = (),
        *,
        handles_errors: bool,
    ) -> object:
        """Call the method.

        Args:
            consumer: Whose method.
            connection: Its connection.
            scope: The handshake's scope.
            args: What stands before the filled parameters.
            handles_errors: Whether the application's exception handlers answer what a dependency raises.
        """
        call = _Call(consumer, args)
        inner: dict[str, Any] = {**scope, _CALL: call}
        if not handles_errors:
            inner.pop("starlette.exception_handlers", None)
        socket = ConnectionSocket(connection)
        # The application of the scope is the one whose `dependency_overrides` hold.
        route = self._route(frozenset(scope.get("path_params") or ()), scope.get("app"))
        await route.handle(inner, socket.receive, socket.send)
        return call.result

    def _route(self, names: frozenset[str], app: object) -> APIWebSocketRoute:
        # Few: a router may be included under several prefixes and in several applications.
        route = self._routes.get((names, app))
        if route is None:
            path = "".join(f"/{{{name}}}" for name in sorted(names)) or "/"
            route = APIWebSocketRoute(path, self._endpoint(), dependency_overrides_provider=app)
            self._routes[names, app] = route
        return route

    def _endpoint(self) -> Callable[..., Awaitable[None]]:
        function = self._function

        async def endpoint(**filled: object) -> None:
            socket = filled.pop(_SOCKET)
            assert isinstance(socket, WebSocket)
            call: _Call = socket.scope[_CALL]
            call.result = await function(call.consumer, *call.args, **filled)

        socket = inspect.Parameter(_SOCKET, inspect.Parameter.KEYWORD_ONLY, annotation=WebSocket)
        endpoint.__signature__ = inspect.Signature([socket, *self._parameters])  # type: ignore[attr-defined] # functions have it
        endpoint.__name__ = function.__name__
        return endpoint


def is_marked(parameter: inspect.Parameter) -> bool:
    """Whether a parameter says of itself that FastAPI fills it: `Depends`, `Query`, `Header`, `WebSocket` and such."""
    marks = (params.Depends, params.Param, params.Body)
    metadata = getattr(parameter.annotation, "__metadata__", ())
    annotation = getattr(parameter.annotation, "__origin__", parameter.annotation)
    if isinstance(annotation, type) and issubclass(annotation, WebSocket):
        return True
    return isinstance(parameter.default, marks) or any(isinstance(mark, marks) for mark in metadata)
