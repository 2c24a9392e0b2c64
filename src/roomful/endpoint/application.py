"""The application: what an ASGI server calls for each WebSocket that a consumer class handles.

It chooses the wire (the server's own where it offers one, else plain ASGI), runs `connect`, and turns a refusal into a
response. It keeps nothing of a connection: that is the hub's.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

from ..assembly import Hub
from ..consumers import Bind, ConsumerBase, Plan, Scope, Session, bind_plainly
from ..core.access import SCOPE_PRINCIPAL, SCOPE_TELLS
from ..core.close_codes import close_code_for_status
from ..core.errors import (
    ConnectionClosed,
    ConsumerError,
    Forbidden,
    HubClosed,
    LayerError,
    Refuse,
    RoomFull,
    RoomNameError,
    TooManyRooms,
    WrongLoop,
)
from ..core.limits import Limits
from ..core.ports import Framing, Peer, Wire
from ..core.refusal import close_reason, refusal_response, refuse_handshake, respond
from ..hub import Connection
from ..hub.throttle import Throttle
from ..wire import Kind
from .asgi_wire import AsgiWire, Receive, Send
from .framing import ASGI_FRAMING
from .guard import Guard
from .resume import read_client, read_resume

__all__ = ("Connect", "ConsumerApp", "Offer", "Receive", "Send")

logger: logging.Logger = logging.getLogger("roomful.endpoint")

Connect: TypeAlias = Callable[[ConsumerBase, Connection], Awaitable[None]]
"""Runs a consumer's `connect` with its parameters."""


class Offer(Protocol):
    """What our interface server puts into `scope["extensions"]["roomful.connection"]`."""

    @property
    def framing(self) -> Framing:
        """How the socket writes messages."""

    def adopt(self, peer: Peer, *, limits: Limits) -> Wire:
        """Hand the socket over: from now on it belongs to `peer`, also when the ASGI call has returned."""


class ConsumerApp:
    """An ASGI application that gives each WebSocket a consumer.

    Args:
        consumer: The class.
        hub: The hub of its rooms.
        initkwargs: Passed to the class for each connection.
        bind: What further parameters of handlers are; by default there are none.
        detach: Whether the ASGI call may end when `connect` has returned, on a server that can keep the socket without
            it. Middleware that must span the socket's life needs False.
    """

    def __init__(
        self,
        consumer: type[ConsumerBase],
        hub: Hub,
        initkwargs: Mapping[str, object] | None = None,
        *,
        bind: Bind | None = None,
        detach: bool = True,
    ) -> None:
        self.hub = hub
        self.plan: Plan = Plan(consumer, hub.codec, bind or partial(bind_plainly, threads=hub.threads))
        self._codec = hub.raw_codec if consumer.owns_wire else hub.codec
        self._initkwargs = dict(initkwargs or {})
        self._detach = detach
        self._throttle = Throttle()
        self._connect_parameters = _connect_parameters(self.plan)

    def __repr__(self) -> str:
        return f"<ConsumerApp {self.plan.consumer.__qualname__}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope (ASGI 3)."""
        if scope["type"] == "http":
            await respond(send, 426, b"this address speaks WebSocket\n", [(b"upgrade", b"websocket")])
        elif scope["type"] == "websocket":
            await self.serve(scope, receive, send, partial(self._connect, scope))
        else:
            raise ValueError(f"scope type is {scope['type']!r}; expected 'websocket'")

    async def serve(self, scope: Scope, receive: Receive, send: Send, connect: Connect) -> None:
        """Serve one WebSocket, with `connect` run as the caller wants it."""
        extensions = scope.setdefault("extensions", {}) or {}
        offer = cast("Offer | None", extensions.get("roomful.connection")) if self.hub.fast_path else None
        if offer is None and (await receive())["type"] != "websocket.connect":
            return  # the client went before its handshake
        gate, visit = self.hub.gate, None
        try:
            await self.hub.start()
            visit = await gate.admit(scope)
            consumer = self.plan.consumer(**self._initkwargs)
            connection, wire = self._open(offer, receive, send, extensions)
        except BaseException as error:
            if visit is not None:
                gate.turn_back(visit)
            if isinstance(error, HubClosed | LayerError | WrongLoop):
                refusal = self._not_available(error)
            elif isinstance(error, Refuse):
                refusal = error
            else:
                raise
            gate.conceal(scope)
            await refuse_handshake(send, scope, refusal, tell_browsers=gate.rules.tell_browsers)
            return
        guard: Guard | None = None
        if visit is not None:
            connection.guard = guard = Guard(
                gate, visit, connection, speaks_events=not self.plan.consumer.owns_wire
            )
            connect = partial(_identified, guard, scope, connect)
        consumer.bind(connection, self.hub, scope, guard)
        session = Session(consumer, connection, self.plan, scope)
        task = asyncio.current_task()
        assert task is not None  # an ASGI application runs in a task
        connection.attach(session, task)
        if wire is None:
            await self._run_connect(connection, session, consumer, connect)
            if not self._detach:
                try:
                    await connection.ended()
                finally:
                    connection.abort()  # without effect when the socket has ended
            return
        wire.start()
        try:
            await self._run_connect(connection, session, consumer, connect)
            await wire.ended()
        finally:
            wire.abort()  # without effect when the socket has ended
        await connection.ended()

    def _open(
        self, offer: Offer | None, receive: Receive, send: Send, extensions: dict[str, Any]
    ) -> tuple[Connection, AsgiWire | None]:
        """Return a connection on the server's own wire where it offers one, else on plain ASGI."""
        limits = self.hub.limits
        if offer is not None:
            adopt = partial(offer.adopt, limits=limits)
            return self.hub.engine.open(Kind(self._codec, offer.framing), adopt), None
        wire: AsgiWire | None = None

        def make_wire(peer: Peer) -> Wire:
            nonlocal wire
            wire = AsgiWire(
                peer,
                receive,
                send,
                extensions=extensions,
                max_buffer_bytes=limits.max_write_buffer_bytes,
            )
            return wire

        connection = self.hub.engine.open(Kind(self._codec, ASGI_FRAMING), make_wire)
        return connection, wire

    async def _run_connect(
        self, connection: Connection, session: Session, consumer: ConsumerBase, connect: Connect
    ) -> None:
        refuse = partial(_refuse, connection, tells_browsers=SCOPE_TELLS in consumer.scope)
        timer = self.hub.engine.call_later(
            self.hub.limits.handshake_timeout_s, partial(_expire, connection, refuse)
        )
        try:
            query = consumer.scope.get("query_string", b"")
            connection.resume(read_resume(query))
            client = read_client(query)
            await connect(consumer, connection)
            if client is not None:
                await self._remember(client, connection, session, consumer)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            # The hub cancels `connect` when the client has gone; any other cancellation is the server's.
            is_ours = connection.is_lost and task is not None and task.uncancel() == 0
            if not is_ours:
                # Nobody may be heard whose `connect` has not finished.
                refuse(Refuse(503, "interrupted"))
            connection.abandoned()
            if not is_ours:
                raise
        except Exception as error:  # noqa: BLE001 -- it is told, and logged where it is a bug
            refusal = self._refusal_of(error, connection)
            if refusal is not None:
                refuse(refusal)
            connection.abandoned()
        else:
            connection.connected(contextvars.copy_context())
        finally:
            timer.cancel()
            consumer.forget_scope()

    async def _remember(
        self, client: str, connection: Connection, session: Session, consumer: ConsumerBase
    ) -> None:
        """Remember the answers to a client's messages, and tell it so; where nobody can, it is told nothing."""
        answers = self.hub.answers
        if answers is None or self.plan.consumer.owns_wire:
            return
        try:
            memory = await answers.memory()
        except LayerError as error:
            logger.debug("connection %s: answers cannot be remembered: %s", connection.id, error)
            return
        place = f"{type(consumer).__module__}.{type(consumer).__qualname__}"
        session.remember(answers.of(client, principal=consumer.principal.id, place=place))
        if not connection.is_closing:
            told = {"type": "roomful.memory", "id": memory, "seconds": answers.ttl_s}
            # Not an `Event`, whose type may not begin like this.
            connection.send(json.dumps(told, separators=(",", ":")))

    def _refusal_of(self, error: Exception, connection: Connection) -> Refuse | None:
        """Return what the client is told of an error in `connect`; None where its connection has ended by itself."""
        if isinstance(error, Refuse):
            return error
        if isinstance(error, Forbidden):
            return Refuse(403, error.message)
        if isinstance(error, RoomNameError):
            # The name came with the request: it is the client's mistake, and none to fill the log with.
            return Refuse(400, str(error))
        if isinstance(error, RoomFull | TooManyRooms):
            return Refuse(503, str(error))
        if isinstance(error, HubClosed | LayerError):
            return self._not_available(error)
        if isinstance(error, ConnectionClosed) and connection.code is not None:
            return None  # its own, not another's: nobody is left to be refused
        logger.error("connection %s: connect failed", connection.id, exc_info=error)
        return Refuse(500, "internal error")

    def _not_available(self, error: Exception) -> Refuse:
        """Return what the client is told where the hub cannot serve; the log says why, once a second."""
        left_out = self._throttle.admit("not available", asyncio.get_running_loop().time())
        if left_out == 0:
            logger.error("connection refused: %s", error)
        elif left_out is not None:
            logger.error("connection refused: %s (and %d more since the last such line)", error, left_out)
        return Refuse(503, "not available", headers=self.hub.gate.rules.retry_after)

    async def _connect(self, scope: Scope, consumer: ConsumerBase, _connection: Connection) -> None:
        spec = self.plan.definition.connect
        if spec is None:
            return
        given = {**(scope.get("url_route") or {}).get("kwargs", {}), **(scope.get("path_params") or {})}
        kwargs = {name: given[name] for name in self._connect_parameters if name in given}
        missing = [name for name, needed in self._connect_parameters.items() if needed and name not in given]
        if missing:
            raise ConsumerError(
                f"{spec.function.__qualname__} takes {missing[0]!r}, which is no path parameter of this route"
            )
        await spec.function(consumer, **kwargs)


async def _identified(
    guard: Guard, scope: Scope, connect: Connect, consumer: ConsumerBase, connection: Connection
) -> None:
    """Run `connect` once it is known who is there."""
    await guard.identify()
    scope[SCOPE_PRINCIPAL] = guard.principal
    await connect(consumer, connection)


def _refuse(connection: Connection, refusal: Refuse, *, tells_browsers: bool) -> None:
    """Refuse the handshake, or close what is accepted, with the code that says the same."""
    reason = close_reason(refusal.reason)
    if tells_browsers:
        connection.close(close_code_for_status(refusal.status), reason)
    else:
        connection.refuse(*refusal_response(refusal.status, refusal.reason, refusal.headers), reason)


def _expire(connection: Connection, refuse: Callable[[Refuse], None]) -> None:
    """Refuse a handshake that takes too long; one that was accepted in time may go on."""
    if connection.is_opening:
        refuse(Refuse(503, "handshake timed out"))


def _connect_parameters(plan: Plan) -> dict[str, bool]:
    spec = plan.definition.connect
    if spec is None:
        return {}
    return {name: p.default is inspect.Parameter.empty for name, p in spec.parameters.items()}
