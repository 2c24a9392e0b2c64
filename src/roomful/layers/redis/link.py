"""One connection to the server: commands go out pipelined, answers and publications come in, parsed by hiredis.

This is the one module that knows hiredis and the protocol (RESP3, which lets commands and subscriptions share a
connection, so that an answer says what was published before it). It never connects again and never sends twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import hiredis

from ...core.errors import LayerAway, LayerError
from .address import Address

__all__ = ("Answer", "CommandError", "Link", "connect")

Answer: TypeAlias = Callable[[object], None]
"""Takes the answer to a command; a `LayerError` stands for a failure. Never raises."""

_Acknowledged: TypeAlias = tuple[bytes, bytes]

Command: TypeAlias = Sequence[str | bytes | int]

_INCOMPLETE: Final = object()
_OLDEST_MAJOR: Final = 7


class CommandError(LayerError):
    """The server has answered with an error; the command had no effect.

    Attributes:
        code: The first word of the error, such as `NOAUTH`.
    """

    def __init__(self, text: str) -> None:
        self.code: str = text.partition(" ")[0]
        super().__init__(f"server says: {text}")


class Link(asyncio.Protocol):
    """A connection to the server; made by `connect`.

    Args:
        on_publication: Takes channel and message of a publication.

    Attributes:
        lost: Done once the connection has ended, with the reason.
        is_paused: Whether the socket is full.
        identity: Which run of which server this is, once it has said so.
    """

    def __init__(self, on_publication: Callable[[bytes, bytes], None] | None = None) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_paused: bool = False
        self.identity: bytes = b""
        self._on_publication = on_publication
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._answers: deque[Answer | _Acknowledged] = deque()
        self._out: list[bytes] = []
        self._reason = ""

    # ── What goes out ──

    def send(self, command: Command, answer: Answer) -> None:
        """Send a command; commands of one pass of the loop go out together, in order."""
        if self._transport is None:
            answer(LayerAway(f"connection to the server has ended: {self._reason}"))
            return
        self._answers.append(answer)
        self._put(tuple(command))

    def subscribe(self, channel: str) -> None:
        """Subscribe a channel; where that is refused the connection ends."""
        if self._transport is not None:
            self._answers.append((b"ssubscribe", channel.encode()))
            self._put(("SSUBSCRIBE", channel))

    def unsubscribe(self, channel: str) -> None:
        """End a subscription."""
        if self._transport is not None:
            self._answers.append((b"sunsubscribe", channel.encode()))
            self._put(("SUNSUBSCRIBE", channel))

    def _put(self, command: tuple[str | bytes | int, ...]) -> None:
        if not self._out:
            self._loop.call_soon(self._write)
        self._out.append(hiredis.pack_command(cast("tuple[str]", command)))  # its types name one-tuples alone

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Send a command; the future has its answer.

        Awaiting it raises `CommandError`, or `LayerAway` when the connection ended before the answer came.
        """
        future: asyncio.Future[Any] = self._loop.create_future()

        def answered(answer: object) -> None:
            if future.done():
                return
            if isinstance(answer, LayerError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.send(command, answered)
        return future

    def _write(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def end(self, reason: str) -> None:
        """End the connection now; every command without an answer is told so."""
        if self._transport is not None:
            self._reason = self._reason or reason
            self._transport.abort()
            self._finish()

    # ── What comes in: asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Know that the socket is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """Know that it has room again."""
        self.is_paused = False

    def data_received(self, data: bytes) -> None:
        """Take answers and publications, in the order in which the server has sent them."""
        reader = self._reader
        reader.feed(data)
        try:
            while self._transport is not None:
                reply: Any = reader.gets()
                if reply is _INCOMPLETE:
                    return
                if type(reply) is hiredis.PushNotification:
                    # Most of what comes; a publication costs no more calls than these.
                    if reply[0] == b"smessage" and self._on_publication is not None:
                        self._on_publication(reply[1], reply[2])
                    else:
                        self._pushed(reply)
                    continue
                answer = self._answers.popleft()
                if type(answer) is tuple:
                    self.end(f"subscription was refused: {reply}")
                else:
                    is_error = isinstance(reply, hiredis.ReplyError)
                    cast("Answer", answer)(CommandError(str(reply)) if is_error else reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.end(f"server speaks another protocol: {error}")

    def _pushed(self, push: list[Any]) -> None:
        kind = push[0]
        if self._answers and self._answers[0] == (kind, push[1]):
            self._answers.popleft()  # subscriptions are acknowledged in their place among the answers
        elif kind == b"sunsubscribe":
            self.end("server has ended a subscription")  # as it does where a slot moves away

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._reason = self._reason or (str(error) if error else "server has closed the connection")
        self._finish()

    def _finish(self) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._out.clear()
        lost = LayerAway(f"connection to the server has ended: {self._reason}")
        answers, self._answers = self._answers, deque()
        for answer in answers:
            if callable(answer):
                answer(lost)
        if not self.lost.done():
            self.lost.set_result(self._reason)


async def connect(address: Address, link: Link, *, timeout_s: float) -> None:
    """Connect a link and come in: protocol, password, database.

    Raises:
        LayerAway: The server cannot be reached, does not answer in time, or still loads its data.
        LayerError: It cannot be used; the text says why.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            if address.path:
                await loop.create_unix_connection(lambda: link, address.path)
            else:
                context = address.tls_context()
                await loop.create_connection(lambda: link, address.host, address.port, ssl=context)
            await _come_in(address, link)
    except CommandError as error:
        link.end("refused")
        raise _explained(address, error) from None
    except TimeoutError:
        link.end("no answer")
        raise LayerAway(f"{address} does not answer within {timeout_s} s") from None
    except OSError as error:
        link.end("not connected")
        raise LayerAway(f"{address} cannot be reached: {error.strerror or error}") from None
    except LayerAway:
        reason = link.lost.result() if link.lost.done() else "no reason was given"
        raise LayerAway(f"{address} has ended the connection: {reason}") from None
    except (KeyError, TypeError, ValueError):
        link.end("refused")
        raise LayerError(f"{address} is no Redis or Valkey server") from None
    except BaseException:
        link.end("given up")
        raise


async def _come_in(address: Address, link: Link) -> None:
    login: tuple[str, ...] = ()
    if address.password or address.username:
        login = ("AUTH", address.username or "default", address.password)
    hello = await link.call("HELLO", 3, *login, "SETNAME", "roomful")
    version = hello[b"version"].decode()
    if int(version.partition(".")[0]) < _OLDEST_MAJOR:
        raise CommandError(f"ERR version {version}")
    if address.database:
        await link.call("SELECT", address.database)


def _explained(address: Address, error: CommandError) -> LayerError:
    text = str(error).removeprefix("server says: ")
    if error.code in {"NOAUTH", "WRONGPASS"}:
        return LayerError(f"{address} asks for another user name or password")
    if error.code in {"LOADING", "BUSY", "MASTERDOWN"}:
        return LayerAway(f"{address} is not ready: {text}")
    if "unknown command" in text.lower() or text.startswith("ERR version"):
        return LayerError(f"{address} is too old ({text}); expected Redis 7, Valkey 8 or newer")
    return LayerError(f"{address} cannot be used: {text}")
