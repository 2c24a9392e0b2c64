"""The handle in `scope["extensions"]["roomful.connection"]`: how a hub takes a socket over from ASGI.

It knows neither the hub nor frames; it hands the socket on, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core.errors import InvalidState
from ..core.limits import Limits
from .frames import FRAMING

if TYPE_CHECKING:
    from ..core.ports import Framing, Peer, Wire
    from .asgi import AsgiCall

__all__ = ("EXTENSION", "Adoption")

EXTENSION: Final = "roomful.connection"
"""Its key in the extensions of the scope."""


class Adoption:
    """Offers the socket of one ASGI call."""

    __slots__ = ("_call",)

    framing: Framing = FRAMING
    """How the socket writes messages; what a hub must know before it takes it."""

    def __init__(self, call: AsgiCall) -> None:
        self._call: AsgiCall | None = call

    def cork(self) -> None:
        """Join what the ASGI call sends until the loop's next pass into one write.

        For an application that is about to handle several messages in one go. What is sent is not held back for longer
        than that, and keeps its order.
        """
        if self._call is not None:
            self._call.cork()

    def adopt(self, peer: Peer, *, limits: Limits | None = None) -> Wire:
        """Give the socket to `peer`, accepted or not; ASGI's `receive` and `send` raise `InvalidState` from now on.

        The ASGI callable may return afterwards and the socket lives on, until the wire or the client ends it. If the
        callable raises, the connection is refused with 500 or closed with 1011.

        Order: messages that the call has not received yet come to `peer` before all others. The peer is called for
        the first time after this has returned, also when the client has gone already.

        Args:
            peer: Who gets the socket.
            limits: What bounds messages and the transport's buffer, the server's own limit on messages beside it.

        Raises:
            InvalidState: The socket has been adopted, or the call has closed or refused the connection.
        """
        call, self._call = self._call, None
        if call is None:
            raise InvalidState("connection has been adopted already")
        return call.hand_over(peer, limits or Limits())
