"""A WebSocket client for tests, once it is connected.

It never reconnects, and it answers nothing by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ..core.close_codes import CloseCode
from ..core.errors import ConnectionClosed
from ..core.events import RESERVED_PREFIX, Event
from ..core.ports import MessageId
from .received import Received, decode, encode
from .socket import Accepted, ClientGone, Closed, Refused, Socket

__all__ = ("TIMEOUT_S", "Client")

TIMEOUT_S: Final = 5.0
"""Time that a test waits for something that should come at once; a machine may be busy."""

_PASSED_OVER: Final = (RESERVED_PREFIX + "joined", RESERVED_PREFIX + "position")
"""What says where a member stands, and is no event of the application's."""


class Client:
    """One connection; made by `connect`.

    Order: messages arrive in the order in which they were sent, in both directions.
    Backpressure: `send` waits while the application does not receive, and the application's `send` waits while this
    client does not.

    Attributes:
        accepted_subprotocol: The subprotocol that the application chose.
        accepted_headers: The headers with which it accepted, their names in lower case.
        close_code: How the connection ended; None until the client knows.
        close_reason: Why.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.accepted_subprotocol: str | None = None
        self.accepted_headers: Mapping[str, str] = {}
        self.close_code: int | None = None
        self.close_reason: str = ""

    def __repr__(self) -> str:
        return "<Client open>" if self.close_code is None else f"<Client closed with {self.close_code}>"

    async def send(
        self, message: Event | str | bytes, *, id: MessageId | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Send a message.

        Args:
            message: An event, as `roomful.js` would write it; or a text or bytes, sent as they are.
            id: What the event is called, so that it gets a reply.
            timeout_s: Time that the application has to make room.

        Raises:
            ConnectionClosed: The connection has ended.
            TimeoutError: The application did not receive, and what is on its way fills the window.

        Cancellation: a message whose `send` is cancelled is not sent.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.send_to_app(encode(message, id))
        except ClientGone:
            raise ConnectionClosed(self.close_code) from None
        except TimeoutError:
            raise TimeoutError(
                f"application has not received for {timeout_s} s; the window is full"
            ) from None

    async def receive(self, *, timeout_s: float = TIMEOUT_S) -> Received:
        """Return the next message.

        Raises:
            ConnectionClosed: The connection has ended, and everything before its end has been received.
            TimeoutError: Nothing came.

        Cancellation: no message is lost.
        """
        if self.close_code is not None:
            raise ConnectionClosed(self.close_code)
        try:
            async with asyncio.timeout(timeout_s):
                item = await self._socket.to_client.get()
        except TimeoutError:
            raise TimeoutError(f"nothing came within {timeout_s} s") from None
        return self._take(item)

    def receive_nowait(self) -> Received | None:
        """Return the next message if it is there already.

        Raises:
            ConnectionClosed: As `receive`.
        """
        if self.close_code is not None:
            raise ConnectionClosed(self.close_code)
        item = self._socket.to_client.get_nowait()
        return None if item is None else self._take(item)

    async def receive_event(
        self, type: str, *, room: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> Received:
        """Return the next event, which must be of this type.

        `roomful.joined` and `roomful.position` are passed over, unless they are asked for.

        Args:
            type: The event's type.
            room: The room that it must have been pushed to; by default any, or none.
            timeout_s: Time to wait for each message.

        Raises:
            AssertionError: Something else came.
            ConnectionClosed: As `receive`.
            TimeoutError: As `receive`.
        """
        received = await self._receive_but(type, timeout_s)
        if received.type != type or (room is not None and received.room != room):
            where = "" if room is None else f" in {room!r}"
            raise AssertionError(f"client got {received}; expected event {type!r}{where}")
        return received

    async def receive_reply(self, to: MessageId, *, timeout_s: float = TIMEOUT_S) -> Received:
        """Return the next message, which must be the reply to this `id`; otherwise as `receive_event`.

        Raises:
            AssertionError: Something else came.
            ConnectionClosed: As `receive`.
            TimeoutError: As `receive`.
        """
        received = await self._receive_but("", timeout_s)
        if received.reply != to:
            raise AssertionError(f"client got {received}; expected the reply to {to!r}")
        return received

    async def receive_error(self, code: str, *, timeout_s: float = TIMEOUT_S) -> Received:
        """Return the next message, which must be an error of this code; otherwise as `receive_event`.

        Raises:
            AssertionError: Something else came.
            ConnectionClosed: As `receive`.
            TimeoutError: As `receive`.
        """
        received = await self._receive_but("", timeout_s)
        if received.error is None or received.error.code != code:
            raise AssertionError(f"client got {received}; expected error {code!r}")
        return received

    async def close(
        self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Close the connection behind all that was sent. Does not wait for the application; a second call does nothing.

        Raises:
            TimeoutError: As `send`.
        """
        if self.close_code is not None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.close_by_client(code, reason)
        except ClientGone:
            # The application was first.
            await self.wait_closed(timeout_s=timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"application has not received for {timeout_s} s; the window is full"
            ) from None
        else:
            self._note_end(Closed(code, reason))

    def abort(self) -> None:
        """Drop the connection without a close frame, as a client does whose network fails."""
        if self.close_code is None:
            self._socket.abort_by_client()
            self._note_end(Closed(CloseCode.ABNORMAL, ""))

    async def wait_closed(self, *, timeout_s: float = TIMEOUT_S) -> int:
        """Return the close code once the application has closed the connection; what comes before that is dropped.

        Raises:
            TimeoutError: It did not, and nothing else came.
        """
        while self.close_code is None:
            try:
                await self.receive(timeout_s=timeout_s)
            except ConnectionClosed:
                break
        assert self.close_code is not None  # noted by `receive`
        return self.close_code

    async def shake_hands(self, timeout_s: float) -> None:
        """Wait for the answer to the handshake; called by `connect`."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._socket.to_client.get()
        except TimeoutError:
            raise TimeoutError(f"application has not answered the handshake within {timeout_s} s") from None
        if isinstance(answer, Refused):
            raise answer
        assert isinstance(answer, Accepted)  # the socket lets nothing else come first
        self.accepted_subprotocol = answer.subprotocol
        self.accepted_headers = answer.headers

    async def _receive_but(self, wanted: str, timeout_s: float) -> Received:
        while True:
            received = await self.receive(timeout_s=timeout_s)
            if received.type == wanted or received.type not in _PASSED_OVER:
                return received

    def _take(self, item: object) -> Received:
        if isinstance(item, Closed):
            self._note_end(item)
            raise ConnectionClosed(item.code)
        assert isinstance(item, str | bytes)  # the handshake is over
        return decode(item)

    def _note_end(self, end: Closed) -> None:
        self.close_code, self.close_reason = int(end.code), end.reason
