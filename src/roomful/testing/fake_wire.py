"""A wire for unit tests: one socket whose client is the test itself.

Its transport has a bound, as every transport has: a client that takes nothing pauses its peer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..core.close_codes import CloseCode
from ..core.ports import Frame, Framing, Message, Peer
from .received import Received, decode

__all__ = ("FakeFraming", "FakeWire")

_MAX_UNREAD = 64


class FakeFraming:
    """Implements the port `Framing`: frames are tuples of messages. All are equal, so that members share frames."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FakeFraming)

    def __hash__(self) -> int:
        return hash(FakeFraming)

    def frame(self, messages: Sequence[Message]) -> Frame:
        """Return one frame that holds these messages."""
        whole = tuple(Message(m.is_text, b"".join((m.data, m.tail))) for m in messages)
        return Frame(whole, sum(len(message.data) for message in whole))

    def text(self, data: bytes) -> object:
        """Return one text message."""
        return (Message(True, data),)

    def concat(self, parts: Sequence[object]) -> object:
        """Return the messages of what `text` and `join` returned."""
        return tuple(message for part in parts for message in part)  # type: ignore[attr-defined] # made above

    def size(self, part: object) -> int:
        """Return the bytes of what `text` or `join` returned."""
        return sum(len(message.data) for message in part)  # type: ignore[attr-defined,misc] # made above

    def join(self, frames: Sequence[Frame]) -> object:
        """Return the messages of these frames."""
        return tuple(message for frame in frames for message in frame.data)  # type: ignore[attr-defined] # made above


class FakeWire:
    """Implements the port `Wire`.

    `connection = engine.open(kind, wire.adopt)` puts it below a connection.

    Args:
        capacity_bytes: Bytes that its transport holds before it pauses its peer.
        supervises: What it says of itself.

    Attributes:
        written: Every message that was written, in order.
        accepted: Subprotocol and headers of the handshake, once it is accepted.
        refused: Status, body and headers, once it is refused.
        closed: Code, reason and `linger_s`, once it is closed.
        is_aborted: Whether it was aborted.
        is_reading: Whether the client's messages are read.
        pings: How many pings were sent.
        has_more: What it says of the client's next bytes.
    """

    def __init__(self, *, capacity_bytes: int = 64 * 1024, supervises: bool = False) -> None:
        self.framing: Framing = FakeFraming()
        self.write: Callable[[object], None] = self._write
        self.supervises: bool = supervises
        self.has_more: bool = False
        self.written: list[Message] = []
        self.accepted: tuple[str | None, list[tuple[bytes, bytes]]] | None = None
        self.refused: tuple[int, bytes, list[tuple[bytes, bytes]]] | None = None
        self.closed: tuple[int, str, float | None] | None = None
        self.is_aborted: bool = False
        self.is_reading: bool = True
        self.pings: int = 0
        self._capacity = capacity_bytes
        self._takes = True
        self._is_paused = False
        self._transport: deque[Message] = deque()
        self._taken: list[Message] = []
        self._unread: deque[str | bytes] = deque()
        self._peer: Peer | None = None
        self._is_lost = False

    def adopt(self, peer: Peer) -> FakeWire:
        """Take a peer; return the wire itself."""
        self._peer = peer
        return self

    @property
    def received(self) -> list[Received]:
        """What the client has got, decoded: all that was written and has passed the transport."""
        return [decode(message.data.decode() if message.is_text else message.data) for message in self._taken]

    # ── The client ──

    def client_sends(self, message: str | bytes) -> None:
        """Send a message; it waits where the wire does not read.

        Raises:
            AssertionError: More messages wait than any test should need.
        """
        if len(self._unread) >= _MAX_UNREAD:
            raise AssertionError(f"{_MAX_UNREAD} messages wait for a wire that does not read")
        self._unread.append(message)
        self._read()

    def client_stops_taking(self) -> None:
        """Take nothing more from the transport."""
        self._takes = False

    def client_takes(self, max_messages: int | None = None) -> None:
        """Take what the transport holds, or some of it, and then no more; `None` takes all, and goes on."""
        self._takes = max_messages is None
        for _ in range(len(self._transport) if max_messages is None else max_messages):
            if self._transport:
                self._taken.append(self._transport.popleft())
        self._tell_room()

    def client_goes(self, code: int = CloseCode.ABNORMAL, reason: str = "") -> None:
        """End the connection: by default the socket is dropped."""
        if not self._is_lost:
            self._is_lost = True
            self._peer_or_error().lost(code, reason)

    # ── Wire ──

    def accept(self, subprotocol: str | None, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Accept the handshake."""
        if self.accepted is not None or self.refused is not None:
            raise AssertionError("handshake was answered before")
        self.accepted = (subprotocol, list(headers))

    def refuse(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Refuse the handshake; the peer is told in a later pass."""
        if self.accepted is not None or self.refused is not None:
            raise AssertionError("handshake was answered before")
        self.refused = (status, body, list(headers))
        asyncio.get_running_loop().call_soon(self.client_goes)

    def unsent(self) -> int:
        """Return how many bytes the client has not taken."""
        return sum(len(message.data) for message in self._transport)

    def stop_reading(self) -> None:
        """Read no more."""
        self.is_reading = False

    def bound_messages(self, max_bytes: int | None) -> None:
        """Do nothing: a test sends what it wants to."""

    def start_reading(self) -> None:
        """Read on."""
        self.is_reading = True
        self._read()

    def ping(self) -> None:
        """Count a ping."""
        self.pings += 1

    def close(self, code: int, reason: str, *, linger_s: float | None = None) -> None:
        """Close; a client that takes what comes answers in a later pass, one that does not has to go by itself."""
        if self.closed is None and not self.is_aborted:
            self.closed = (code, reason, linger_s)
            if self._takes:
                asyncio.get_running_loop().call_soon(self.client_goes, code, reason)

    def abort(self) -> None:
        """End now; the peer is told in a later pass."""
        self.is_aborted = True
        self._transport.clear()
        asyncio.get_running_loop().call_soon(self.client_goes)

    def _write(self, data: object) -> None:
        if self.accepted is None:
            raise AssertionError("message was written before the handshake was accepted")
        if self.closed is not None or self.is_aborted or self._is_lost:
            return
        assert isinstance(data, tuple)  # made by the framing
        self.written += data
        if self._takes:
            self._taken += data
            return
        self._transport += data
        if self.unsent() > self._capacity and not self._is_paused:
            self._is_paused = True
            self._peer_or_error().paused()

    def _read(self) -> None:
        while self.is_reading and self._unread and not self._is_lost:
            self._peer_or_error().received(self._unread.popleft())

    def _tell_room(self) -> None:
        # A quarter, as asyncio's own low-water mark.
        if self._is_paused and self.unsent() * 4 <= self._capacity and not self._is_lost:
            self._is_paused = False
            self._peer_or_error().resumed()

    def _peer_or_error(self) -> Peer:
        if self._peer is None:
            raise AssertionError("wire has no peer; pass `wire.adopt` where a wire is made")
        return self._peer
