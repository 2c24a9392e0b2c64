"""The consumer as applications derive it, with its way to become an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..consumers import ConsumerBase
from ..core.errors import ConsumerError
from .application import ConsumerApp

if TYPE_CHECKING:
    from ..assembly import Hub

__all__ = ("Consumer",)


class Consumer(ConsumerBase):
    """Handles one connection: derive from it, and write `connect`, `receive`, `disconnect` and `@on(type)` methods.

    All of them are optional. One message is handled at a time, in the order of arrival. `disconnect` runs once for each
    connection that was accepted.

    A class that is made with `owns_wire=True` gets exactly what the application pushes and sends: no positions and no
    `roomful.joined`; what it may miss is told by closing.
    """

    __slots__ = ()

    def __init_subclass__(cls, *, owns_wire: bool | None = None, **kwargs: object) -> None:
        """Check the class; see `ConsumerBase`."""
        if "as_asgi" in vars(cls) and not cls.__module__.startswith("roomful."):
            raise ConsumerError(
                f"{cls.__qualname__}.as_asgi redefines what Consumer provides; choose another name"
            )
        super().__init_subclass__(owns_wire=owns_wire, **kwargs)

    @classmethod
    def as_asgi(cls, *, hub: Hub, detach: bool = True, **initkwargs: object) -> ConsumerApp:
        """Return an ASGI application that gives each WebSocket a consumer of this class.

        Path parameters of Starlette's or `roomful.routing`'s router reach `connect` by their names.

        Args:
            hub: The hub of its rooms.
            detach: Whether the ASGI call may end when `connect` has returned, on our interface server; see
                `ConsumerApp`.
            initkwargs: Passed to the class for each connection.

        Raises:
            ConsumerError: A handler has a parameter that nothing fills, or a message type that nothing decodes.
        """
        return ConsumerApp(cls, hub, initkwargs, detach=detach)
