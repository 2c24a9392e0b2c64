"""Consumer routes: a consumer class as a WebSocket route of a FastAPI application or router."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from fastapi import APIRouter, FastAPI, WebSocket, params
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.exceptions import HTTPException, WebSocketException
from starlette.routing import compile_path

from ..assembly import Hub
from ..consumers import Binding, ConsumerBase, HandlerSpec, Scope, Threads, bind_plainly
from ..core.close_codes import MAX_REASON_BYTES
from ..core.errors import ConnectionClosed, ReplyError
from ..endpoint import Consumer, ConsumerApp
from ..hub import Connection
from .injection import Injected, is_marked

__all__ = ("consumer_route",)

C = TypeVar("C", bound=type[Consumer])


def consumer_route(
    router: FastAPI | APIRouter,
    path: str,
    *,
    hub: Hub,
    name: str | None = None,
    dependencies: Sequence[params.Depends] | None = None,
    detach: bool = True,
) -> Callable[[C], C]:
    """Make a consumer class the handler of a WebSocket route.

    `connect` and the handlers may declare path, query, header and cookie parameters and dependencies, as any FastAPI
    endpoint. Dependencies with `yield` end when `connect`, or the handler, returns, not with the socket. A handler's
    message is its first parameter, unless that one is marked (`Depends`, `Query`, …) or named as a parameter of `path`.

    Dependencies of the application, of routers and of this route run before all that. They end with the ASGI call: when
    `connect` returns on an interface server that keeps the socket itself, with the socket elsewhere.

    In `connect`, an `HTTPException`, a `WebSocketException` or a parameter that does not fit refuses the handshake as
    FastAPI does, by the application's exception handlers. In a handler, an `HTTPException` becomes an error reply with
    the code `http_<status>`, and a `WebSocketException` closes the connection.

    Args:
        router: Where the route is added.
        path: As in `app.websocket(path)`.
        hub: The hub of the consumer's rooms.
        name: The route's name, by default the class's.
        dependencies: As in `app.websocket(…, dependencies=[…])`.
        detach: Whether the ASGI call may end when `connect` has returned; see `ConsumerApp`.

    Raises:
        ConsumerError: A message type cannot be decoded.
    """

    def add(consumer: C) -> C:
        own_names = frozenset(compile_path(path)[2])
        bind = partial(_bind, path_names=own_names, threads=hub.threads)
        application = ConsumerApp(consumer, hub, bind=bind, detach=detach)
        connect = application.plan.definition.connect
        injected = None if connect is None else Injected(connect.function, connect.parameters.values())

        async def endpoint(websocket: WebSocket) -> None:
            scope: Scope = websocket.scope
            await application.serve(
                scope, websocket.receive, websocket.send, partial(_connect, injected, scope)
            )

        # What FastAPI shows of the route, in tracebacks and in its own errors.
        endpoint.__name__ = endpoint.__qualname__ = consumer.__qualname__
        router.add_api_websocket_route(
            path, endpoint, name=name or consumer.__name__, dependencies=dependencies
        )
        return consumer

    return add


async def _connect(
    injected: Injected | None, scope: Scope, consumer: ConsumerBase, connection: Connection
) -> None:
    if injected is not None:
        await injected.call(consumer, connection, scope, handles_errors=True)


def _bind(spec: HandlerSpec, *, path_names: frozenset[str], threads: Threads) -> Binding:
    parameters = list(spec.parameters.values())
    takes_message = bool(parameters) and not is_marked(parameters[0]) and parameters[0].name not in path_names
    message, filled = (parameters[0], parameters[1:]) if takes_message else (None, parameters)
    if not filled:
        return bind_plainly(spec, threads=threads)
    injected = Injected(_asynchronous(spec, threads), filled)

    async def call(consumer: ConsumerBase, args: tuple[object, ...], scope: Scope | None) -> object:
        connection = consumer.connection
        assert isinstance(connection, Connection)
        assert scope is not None  # kept, because the binding asks for it
        try:
            return await injected.call(consumer, connection, scope, args, handles_errors=False)
        except HTTPException as error:
            raise ReplyError(f"http_{error.status_code}", str(error.detail)) from error
        except WebSocketRequestValidationError as error:
            raise ReplyError("invalid_message", _problems(error)) from error
        except WebSocketException as error:
            reason = (error.reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore")
            await consumer.close(error.code, reason)
            raise ConnectionClosed(error.code) from error

    return Binding(message, call, needs_scope=True)


def _asynchronous(spec: HandlerSpec, threads: Threads) -> Callable[..., Awaitable[object]]:
    if spec.is_async:
        return cast("Callable[..., Awaitable[object]]", spec.function)

    async def in_thread(*args: object, **kwargs: object) -> object:
        return await threads.run(partial(spec.function, *args, **kwargs))

    in_thread.__name__ = spec.function.__name__
    return in_thread


def _problems(error: WebSocketRequestValidationError) -> str:
    problems: Sequence[dict[str, Any]] = error.errors()
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
