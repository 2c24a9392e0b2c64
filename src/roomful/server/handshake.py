"""The opening handshake: a request in, a scope and the answer's bytes out (RFC 6455 §4.2).

It is pure. `websockets` judges the request and words the answers; this module adds what ASGI asks for. No extension is
negotiated: `permessage-deflate` is declined by not being mentioned (§9.1).
"""

from __future__ import annotations

import email.utils
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from websockets.http11 import Request
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .contract import Scope

__all__ = ("Handshake", "HandshakeRefused", "read_handshake", "refusal")

logger: Final = logging.getLogger(
    "uvicorn.error"
)  # where uvicorn's own classes write, so that one setting rules all

# RFC 9110 §5.1 and §5.5. An application may pass on what a client sent: no line break may split a response (CWE-113).
_NAME: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class HandshakeRefused(Exception):
    """The request is no WebSocket handshake; `response` says so to the client."""

    def __init__(self, response: bytes) -> None:
        self.response = response
        super().__init__("request is not a WebSocket handshake")


class Handshake:
    """A request that may be accepted or refused, once.

    Attributes:
        scope: The ASGI scope; middleware may change it, and log lines follow.
    """

    __slots__ = ("_answer", "_default_headers", "scope")

    def __init__(
        self, scope: Scope, answer: Iterable[tuple[str, str]], default_headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        self.scope: Scope = scope
        self._answer = answer
        self._default_headers = default_headers

    def accept(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the response that accepts.

        Raises:
            ValueError: A header or the subprotocol cannot stand in a response.
        """
        # uvicorn adds a date of its own, or none if that was switched off.
        lines = [(name.encode(), value.encode()) for name, value in self._answer if name != "Date"]
        lines += self._default_headers
        lines += headers
        if subprotocol:
            if not _NAME.fullmatch(subprotocol.encode()):
                raise ValueError(f"subprotocol {subprotocol!a} is not a token (RFC 6455 §4.1)")
            lines.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        response = _response(101, lines, b"")
        logger.info('%s - "WebSocket %s" [accepted]', *self._who())
        return response

    def refuse(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the response that refuses.

        Raises:
            ValueError: The status or a header cannot stand in a response.
        """
        response = refusal(status, body, headers)
        logger.info('%s - "WebSocket %s" %d', *self._who(), status)
        return response

    def _who(self) -> tuple[str, str]:
        client = self.scope.get("client")
        path = quote(self.scope["path"])
        if self.scope["query_string"]:
            path = f"{path}?{self.scope['query_string'].decode('latin-1')}"
        return (f"{client[0]}:{client[1]}" if client else ""), path


def read_handshake(
    data: bytes, base: Scope, root_path: str, default_headers: Iterable[tuple[bytes, bytes]]
) -> Handshake:
    """Read a request.

    Args:
        data: The whole request, as bytes.
        base: What of the scope does not depend on the request.
        root_path: Where the application is mounted; stands before the request's path.
        default_headers: What the server adds to each response.

    Raises:
        HandshakeRefused: It is not a valid WebSocket handshake.
    """
    protocol = ServerProtocol()  # its own logger: at DEBUG it writes each header, and with them tokens
    protocol.receive_data(data)
    request = next((event for event in protocol.events_received() if isinstance(event, Request)), None)
    if request is None:
        # A response stands ready for lines that are too long or too many; else it was no request of HTTP at all,
        # such as one with a body.
        raise HandshakeRefused(b"".join(protocol.data_to_send()) or refusal(400, b"Bad Request", ()))
    response = protocol.accept(request)
    if response.status_code != 101:
        lines = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.raw_items()
        ]
        raise HandshakeRefused(_response(response.status_code, lines, bytes(response.body)))
    raw_path, _, query = request.path.partition("?")
    subprotocols = [
        name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")
    ]
    scope: Scope = {
        **base,
        "type": "websocket",
        "http_version": "1.1",
        "root_path": root_path,
        "path": root_path + unquote(raw_path),
        "raw_path": root_path.encode("ascii") + raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [(name.encode("ascii"), _raw(value)) for name, value in request.headers.raw_items()],
        "subprotocols": subprotocols,
    }
    return Handshake(scope, tuple(response.headers.raw_items()), default_headers)


def refusal(status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return an HTTP response that is not an upgrade.

    Raises:
        ValueError: The status or a header cannot stand in a response.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"refusal status is {status}; expected an HTTP status from 200 to 599")
    lines = list(headers)
    given = {name.lower() for name, _ in lines}
    lines += [
        item
        for item in (
            (b"Date", email.utils.formatdate(usegmt=True).encode()),
            (b"Connection", b"close"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Content-Type", b"text/plain; charset=utf-8"),
        )
        if item[0].lower() not in given
    ]
    return _response(status, lines, body)


def _raw(value: str) -> bytes:
    """Return a header's value as it came; `websockets` reads it as Latin-1 from 17.0 on, before that as ASCII."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("ascii", "surrogateescape")


def _response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    parts = [f"HTTP/1.1 {status} {phrase}\r\n".encode()]
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise ValueError(f"response header name {name!r} is not a token")
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"response header {name.decode()} has a line break or control character in its value"
            )
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", body)
    return b"".join(parts)
