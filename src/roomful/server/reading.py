"""Reading: the bytes of one client become messages for its peer, in turns that leave the others theirs.

It ends nothing: whoever derives from it is told that the client closes, or broke the protocol. While nothing is under
way it owns no parser.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from .frames import pong_frame
from .ordinary import take_message, take_only
from .parser import Close, Event, Parser, Ping, ProtocolError
from .states import NOBODY, State

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from ..core.ports import Peer

__all__ = ("Reading",)

_MAX_MESSAGES_A_PASS: Final = 64
"""Messages of one client that are handed on before the loop has a turn; a handler that never waits runs at once."""

# Pongs are gathered while a batch of frames is read, so that a flood of pings costs few system calls.
_MAX_GATHERED_PONGS: Final = 4096


class Reading(asyncio.Protocol):
    """The half of a wire that reads, and answers pings.

    Attributes:
        has_more: Within `Peer.received`, whether more messages of the same read follow.
        write: Writes to the socket.
    """

    __slots__ = (
        "_backlog",
        "_breathing",
        "_max_bytes",
        "_most_bytes",
        "_ordinary",
        "_parser",
        "_peer",
        "_pongs",
        "_reading",
        "_state",
        "_stopped",
        "_transport",
        "_writable",
        "has_more",
        "write",
    )

    _transport: asyncio.Transport
    write: Callable[[object], None]
    has_more: bool

    def __init__(self, max_bytes: int) -> None:
        self._most_bytes = self._max_bytes = max_bytes
        self.has_more = False
        self._state = State.HANDSHAKE
        self._peer: Peer = NOBODY
        # Whether the short way of reading holds: open, not stopped, and nothing under way or waiting.
        self._ordinary = False
        self._parser: Parser | None = None
        self._backlog: deque[str | bytes] | None = None
        self._stopped = False
        self._breathing = False
        self._reading = True
        self._writable = True
        self._pongs: bytearray | None = None

    @abstractmethod
    def _client_closed(self, close: Close) -> None:
        """Know that a close frame has come."""

    @abstractmethod
    def _fail(self, code: int, reason: str) -> None:
        """Know that the client broke the protocol; nothing more is read."""

    # ── Wire ──

    def stop_reading(self) -> None:
        """Take no more from the socket; frames that have come already wait unread.

        Once it is closing it does nothing: the client's answer or its end must still be seen.
        """
        if self._state <= State.OPEN:
            self._stopped = True
            self._ordinary = False
            self._hold()

    def start_reading(self) -> None:
        """Read on, in a later pass of the loop."""
        if self._stopped:
            self._stopped = False
            if self._state is State.OPEN:
                asyncio.get_running_loop().call_soon(self._read_on)

    def bound_messages(self, max_bytes: int | None) -> None:
        """Take no message that is larger; None for the bound of before."""
        self._max_bytes = self._most_bytes if max_bytes is None else min(self._most_bytes, max_bytes)
        if self._parser is not None:
            self._parser.bound(self._max_bytes)

    # ── asyncio.Protocol ──

    def data_received(self, data: bytes) -> None:
        """Read frames, each message going to the peer as it is found."""
        if self._ordinary:
            message = take_only(data, self._max_bytes)
            if message is not None:
                self._peer.received(message)
            else:
                self._peer.heard()
                self._take_several(data)
        else:
            self._peer.heard()
            self._take(data)

    # ── Reading on ──

    def _take_several(self, data: bytes) -> None:
        """Read ordinary frames as long as there are some."""
        start, size, taken = 0, len(data), 0
        try:
            while (found := take_message(data, start, self._max_bytes)) is not None:
                message, start = found
                self.has_more = start < size
                self._peer.received(message)
                taken += 1
                if start == size:
                    return
                if not self._ordinary:
                    break
                if taken == _MAX_MESSAGES_A_PASS:
                    self._breathe()
                    break
        finally:
            self.has_more = False
        self._take(data[start:])

    def _take(self, data: bytes) -> None:
        """Read what is not, or not only, ordinary frames; or keep it for later."""
        if self._state >= State.ENDED:
            return
        if self._parser is None:
            self._parser = Parser(self._max_bytes)
        self._parser.feed(data)
        if self._state is State.HANDSHAKE:
            # A client must not send before it is accepted (§4.1); one that does is held by TCP.
            self._hold()
        elif not self._stopped and not self._breathing:
            self._read_on()

    def _may_read(self) -> bool:
        return not self._stopped and not self._breathing and self._state in (State.OPEN, State.CLOSING)

    def _breathe(self) -> None:
        # One client that floods must not keep the loop from the others: uvloop would go on for 8 MiB in one pass.
        self._breathing = True
        self._ordinary = False
        self._hold()
        asyncio.get_running_loop().call_soon(self._breathed)

    def _breathed(self) -> None:
        self._breathing = False
        if self._may_read():
            self._read_on()

    def _read_on(self) -> None:
        """Read until the bytes are used up or the peer has enough."""
        if self._breathing:
            return
        self._hand_on_backlog()
        if (parser := self._parser) is not None:
            taken = 0
            try:
                while self._may_read() and (event := parser.next_event()) is not None:
                    self._handle(event)
                    # Fragments and pings cost no more than their bytes; a whole message runs a handler.
                    taken += isinstance(event, (str, bytes))
                    if taken == _MAX_MESSAGES_A_PASS:
                        self._breathe()
            except ProtocolError as error:
                self._fail(error.code, error.reason)
                return
            self._flush_pongs()
            if parser.idle:
                self._parser = None
        if self._may_read():
            self._ordinary = self._state is State.OPEN and self._parser is None
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()

    def _handle(self, event: Event) -> None:
        if isinstance(event, (str, bytes)):
            if self._state is State.OPEN:
                # What the peer answers at once must not overtake the pongs of earlier pings.
                self._flush_pongs()
                self._peer.received(event)
        elif isinstance(event, Ping):
            self._answer(event.payload)
        elif isinstance(event, Close):
            self._client_closed(event)

    def _hand_on_backlog(self) -> None:
        """Give the peer what the one before it had not taken."""
        while self._may_read() and self._backlog:
            self._peer.received(self._backlog.popleft())
        if not self._backlog:
            self._backlog = None

    def _hold(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _answer(self, payload: bytes) -> None:
        """Answer a ping. A client that does not read is owed the last pong only (§5.5.3), so that none pile up."""
        if self._state is not State.OPEN:
            return
        if self._pongs is None or not self._writable:
            self._pongs = bytearray()
        self._pongs += pong_frame(payload)
        if len(self._pongs) >= _MAX_GATHERED_PONGS:
            self._flush_pongs()

    def _flush_pongs(self) -> None:
        if self._pongs is not None and self._writable and self._state is State.OPEN:
            pongs, self._pongs = self._pongs, None
            self.write(bytes(pongs))

    def _forget(self) -> None:
        self._ordinary = False
        self._parser = None
        self._backlog = None
        self._pongs = None
