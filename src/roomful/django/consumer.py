"""The native consumer in a Django project: it finds the hub of `ROOMFUL`, and its handlers use the ORM in lanes."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from ..consumers import Binding, HandlerSpec, bind_plainly
from ..endpoint import Consumer as BaseConsumer
from ..endpoint import ConsumerApp
from .runtime import get_hub, get_lanes

if TYPE_CHECKING:
    from ..assembly import Hub
    from ..consumers import BoundCall, ConsumerBase, Scope
    from ..endpoint.application import Connect, Receive, Send
    from ..hub import Connection

__all__ = ("Consumer", "DjangoApp")


class Consumer(BaseConsumer):
    """Handles one connection; see `roomful.Consumer`.

    Handlers written with `async def` use Django's async ORM, those written with `def` its sync one. Either way the
    query runs in a thread of a few (`ROOMFUL["DATABASE_THREADS"]`), so that a slow one holds up nobody but those that
    wait for it.
    """

    __slots__ = ()

    @classmethod
    def as_asgi(cls, *, hub: Hub | None = None, detach: bool = True, **initkwargs: object) -> DjangoApp:
        """Return an ASGI application that gives each WebSocket a consumer of this class.

        Args:
            hub: The hub of its rooms; that of `ROOMFUL` by default.
            detach: Whether the ASGI call may end when `connect` has returned; see `ConsumerApp`.
            initkwargs: Passed to the class for each connection.

        Raises:
            ConsumerError: A handler has a parameter that nothing fills, or a message type that nothing decodes.
            ImproperlyConfigured: `ROOMFUL` cannot work.
        """
        hub = hub or get_hub()
        return DjangoApp(cls, hub, initkwargs, bind=partial(_bind, hub=hub), detach=detach)


class DjangoApp(ConsumerApp):
    """A `ConsumerApp` whose consumers connect, and say goodbye, in a lane."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        definition = self.plan.definition
        if definition.disconnect is not None:
            in_lane = dataclasses.replace(
                definition.disconnect, function=_in_lane(definition.disconnect.function)
            )
            self.plan.definition = dataclasses.replace(definition, disconnect=in_lane)

    async def serve(self, scope: Scope, receive: Receive, send: Send, connect: Connect) -> None:
        """Serve one WebSocket; see `ConsumerApp.serve`."""

        async def connect_in_lane(consumer: ConsumerBase, connection: Connection) -> None:
            async with get_lanes().lane():
                await connect(consumer, connection)

        await super().serve(scope, receive, send, connect_in_lane)


def _bind(spec: HandlerSpec, *, hub: Hub) -> Binding:
    binding = bind_plainly(spec, threads=hub.threads)
    call: BoundCall = binding.call
    if not spec.is_async:
        # Django's own way into threads instead of the hub's, so that it is the lane's thread.
        function = sync_to_async(spec.function, thread_sensitive=True)

        async def call_in_thread(
            consumer: ConsumerBase, args: tuple[object, ...], _scope: Scope | None
        ) -> object:
            return await function(consumer, *args)

        call = call_in_thread
    # Without its method, which would be called past the lane.
    return dataclasses.replace(binding, call=_in_lane(call), method=None)


def _in_lane(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def in_lane(*args: object) -> object:
        async with get_lanes().lane():
            return await function(*args)

    return in_lane
