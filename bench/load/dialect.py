"""What a server wants around a message: nothing, or the protocol of Socket.IO."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("DIALECTS", "PLAIN", "Dialect")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a client speaks.

    Attributes:
        path: Where it connects; None for the name of the program.
        hello: What it says first.
        greetings: How the texts begin that let it in, one of each.
        prefix: What stands before a message, both ways.
        suffix: What stands behind it.
    """

    path: str | None = None
    hello: bytes = b""
    greetings: tuple[bytes, ...] = ()
    prefix: bytes = b""
    suffix: bytes = b""


PLAIN = Dialect()

# Engine.IO 4: "0" opens. Socket.IO 5: "40" connects, "42" is an event.
DIALECTS = {
    "plain": PLAIN,
    "socketio": Dialect(
        path="/socket.io/?EIO=4&transport=websocket",
        hello=b"40",
        greetings=(b"0{", b"40{"),
        prefix=b'42["e","',
        suffix=b'"]',
    ),
}
