"""Consumers: classes whose methods take what a client and a channel send, by its type.

The names and the behaviour are Channels'; where we differ on purpose, *Coming from Channels* says so.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, ClassVar, Final

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER

from ..core.close_codes import CloseCode
from ..django import ChannelLayer
from ..django.runtime import get_lanes, get_limits
from .db import database_sync_to_async
from .desk import Desk, Event, Receive, Send
from .exceptions import StopConsumer
from .handlers import find_handler, handler_name
from .layers import get_channel_layer
from .sources import MailboxSource, ReceivingSource, Source

__all__ = ("AsyncConsumer", "SyncConsumer", "get_handler_name")

logger: Final = logging.getLogger("roomful.channels")

get_handler_name = handler_name

_SERVERS_OWN: Final = frozenset(
    ("websocket.connect", "websocket.disconnect", "http.request", "http.disconnect")
)


class AsyncConsumer:
    """Handles one connection, or one channel of a worker: an ASGI application whose methods take messages by type.

    A message `{"type": "alarm.raised"}` goes to `alarm_raised(message)`. One message is handled at a time. What a
    handler raises ends the consumer, and goes on to the server.

    Attributes:
        scope: ASGI's.
        channel_layer: The layer of `channel_layer_alias`, or None where none is configured.
        channel_name: The consumer's own channel on it.
        channel_layer_alias: Which layer of `CHANNEL_LAYERS` it uses.
        raises_unknown_types: Whether a message that no handler takes ends the consumer; else it is logged.
    """

    channel_layer_alias: ClassVar[str] = DEFAULT_CHANNEL_LAYER
    raises_unknown_types: ClassVar[bool] = False

    scope: MutableMapping[str, Any]
    channel_layer: Any
    channel_name: str
    base_send: Callable[[Event], Any]

    _handled: ClassVar[dict[str, str]] = {}
    _direct: ClassVar[dict[str, tuple[str, object]]] = {}
    """Those of the above that are written with `async def`, with their functions: where neither they nor `dispatch` are
    anything else by then, a message of a group goes to them without a coroutine between."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Give the class a table of the types that it has been asked for."""
        super().__init_subclass__(**kwargs)
        cls._handled = {}
        cls._direct = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one scope (ASGI 3)."""
        self.scope = scope
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        source: Source | None = None
        if self.channel_layer is not None:
            self.channel_name = await self.channel_layer.new_channel()
            self.channel_receive: functools.partial[Any] = functools.partial(
                self.channel_layer.receive, self.channel_name
            )
            source = self._source()
        self.base_send = self._sender(send)
        self._is_connected = self._is_servers = False
        desk = Desk(
            self._dispatch,
            receive,
            source,
            deliver=self._deliver,
            missed=self._missed,
            cork=_cork_of(scope),
            reads_ahead=scope.get("type") != "channel",
            limits=get_limits(),
            lanes=get_lanes(),
        )
        try:
            await desk.run()
        except Exception:
            if self._is_connected:
                await desk.end(self._clean_up())
            raise

    def _source(self) -> Source:
        if isinstance(self.channel_layer, ChannelLayer):
            return MailboxSource(self.channel_layer, self.channel_name)
        return ReceivingSource(self.channel_receive)

    def _sender(self, send: Send) -> Callable[[Event], Any]:
        return send

    async def _dispatch(self, message: Event) -> None:
        kind = message.get("type")
        if kind == "websocket.connect":
            self._is_connected = True
        elif kind == "websocket.disconnect":
            self._is_connected = False
        # A server takes an error as the answer, as to the lifespan, which it then leaves alone.
        self._is_servers = self.scope.get("type") != "channel"
        await self.dispatch(message)
        self._is_servers = False

    def _deliver(self, message: Event) -> Awaitable[object]:
        kind = message.get("type")
        direct = self._direct.get(kind) if type(kind) is str else None
        if direct is not None:
            name, function = direct
            handler = getattr(self, name)
            try:
                is_direct = handler.__func__ is function and self.dispatch.__func__ is _DISPATCH  # type: ignore[attr-defined] # of a method
            except AttributeError:  # one of them is no method, but something that was put in its place
                is_direct = False
            if is_direct:
                handling: Awaitable[object] = handler(message)
                return handling
        # That a client has come or gone is the server's to say, and nobody's who can send to a group.
        if kind in _SERVERS_OWN:
            return self._unhandled(message)
        return self.dispatch(message)

    async def _unhandled(self, message: Event) -> None:
        await self.unknown_type(message)

    async def _clean_up(self) -> None:
        try:
            await self.dispatch({"type": "websocket.disconnect", "code": int(CloseCode.INTERNAL_ERROR)})
        except StopConsumer:
            pass
        except Exception:
            logger.exception("%s: disconnect failed, after its handler had", type(self).__qualname__)

    async def dispatch(self, message: Event) -> None:
        """Find the handler of a message and await it.

        Raises:
            ValueError: The message has no type, or one that begins like a private name.
            TypeError: The handler is written with `def`.
        """
        handler = self._find(message)
        if handler is None:
            await self.unknown_type(message)
            return
        handling = handler(message)
        if not inspect.isawaitable(handling):
            raise TypeError(
                f"{type(self).__qualname__}.{handler.__name__} is written with def; an async consumer needs async def"
            )
        await handling

    def _find(self, message: Event) -> Callable[..., Any] | None:
        kind = message.get("type")
        name = self._handled.get(kind) if isinstance(kind, str) else None
        if name is not None:
            handler: Callable[..., Any] = getattr(self, name)
            return handler
        name = handler_name(message)
        found = find_handler(self, name)
        if found is not None and isinstance(kind, str):
            self._handled[kind] = name
            function = getattr(type(self), name)
            if kind not in _SERVERS_OWN and inspect.iscoroutinefunction(function):
                self._direct[kind] = name, function
        return found

    async def unknown_type(self, message: Event) -> None:
        """Know that a message came that no handler takes. One of a channel is logged, and the consumer lives.

        Raises:
            ValueError: It is an event of the server, or the class says `raises_unknown_types`.
        """
        self._judge_unknown(message)

    def _judge_unknown(self, message: Event) -> None:
        error = (
            f"No handler for message type {message.get('type')!a:.100}; "
            f"{type(self).__qualname__} has no method of its own that takes it"
        )
        if self.raises_unknown_types or self._is_servers:
            raise ValueError(error)
        logger.error("%s", error)

    async def _missed(self, count: int | None) -> None:
        on_gap = getattr(self, "on_gap", None)
        if on_gap is not None:
            await on_gap(count)

    async def send(self, message: Event) -> None:
        """Send an ASGI event to the server."""
        await self.base_send(message)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Callable[..., Coroutine[Any, Any, None]]:
        """Return an ASGI application that makes a consumer for each scope.

        Args:
            initkwargs: Passed to the class each time.
        """

        async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            await cls(**initkwargs)(scope, receive, send)

        app.consumer_class = cls  # type: ignore[attr-defined] # as Channels has it, for tools that look
        app.consumer_initkwargs = initkwargs  # type: ignore[attr-defined] # as above
        functools.update_wrapper(app, cls, updated=())
        return app


_DISPATCH: Final = AsyncConsumer.dispatch
"""As it is here: what others put in its place sees every message."""


def _cork_of(scope: MutableMapping[str, Any]) -> Callable[[], object] | None:
    """Return what our interface server offers for joining messages, or None on others."""
    offer = (scope.get("extensions") or {}).get("roomful.connection")
    cork: Callable[[], object] | None = getattr(offer, "cork", None)
    return cork


class SyncConsumer(AsyncConsumer):
    """The same with handlers written with `def`: each message is handled in a thread of its lane.

    `send` may be called from handlers alone, as there it waits for the event loop.
    """

    @database_sync_to_async
    def dispatch(self, message: Event) -> None:  # type: ignore[override] # awaited just so, and overridden with def
        """Find the handler of a message and call it."""
        handler = self._find(message)
        if handler is None:
            self.unknown_type(message)
        else:
            handler(message)

    def unknown_type(self, message: Event) -> None:  # type: ignore[override] # as above
        """Know that a message came that no handler takes; see `AsyncConsumer.unknown_type`."""
        self._judge_unknown(message)

    def send(self, message: Event) -> None:  # type: ignore[override] # as above
        """Send an ASGI event to the server."""
        self.base_send(message)

    def _sender(self, send: Send) -> Callable[[Event], Any]:
        return async_to_sync(send)

    async def _unhandled(self, message: Event) -> None:
        await database_sync_to_async(self.unknown_type)(message)

    async def _missed(self, count: int | None) -> None:
        on_gap = getattr(self, "on_gap", None)
        if on_gap is not None:
            await database_sync_to_async(on_gap)(count)
