"""`handshake` alone: requests in, scopes and answers out."""

from __future__ import annotations

import base64
import hashlib
import logging

import pytest

from roomful.server.handshake import Handshake, HandshakeRefused, read_handshake, refusal
from tests.server.serving import KEY, upgrade_request

BASE = {
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "client": ("10.0.0.1", 5),
    "server": ("10.0.0.2", 80),
}
DEFAULTS = [(b"server", b"uvicorn"), (b"date", b"today")]


def read(data: bytes, root_path: str = "") -> Handshake:
    return read_handshake(data, BASE, root_path, DEFAULTS)


def lines(response: bytes) -> list[str]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert not body
    return head.decode("latin-1").split("\r\n")


def test_scope_is_that_of_the_request() -> None:
    data = upgrade_request(
        "/caf%C3%A9%20x?a=%31", [("sec-websocket-protocol", "a, b"), ("x-name", "J\xf6rg")]
    )
    scope = read(data, "/root").scope
    assert scope == {
        **BASE,
        "type": "websocket",
        "http_version": "1.1",
        "root_path": "/root",
        "path": "/root/café x",
        "raw_path": b"/root/caf%C3%A9%20x",
        "query_string": b"a=%31",
        "headers": [
            (b"Host", b"127.0.0.1"),
            (b"Connection", b"Upgrade"),
            (b"Upgrade", b"websocket"),
            (b"Sec-WebSocket-Key", KEY.encode()),
            (b"Sec-WebSocket-Version", b"13"),
            (b"sec-websocket-protocol", b"a, b"),
            (b"x-name", b"J\xf6rg"),
        ],
        "subprotocols": ["a", "b"],
    }


def test_accept_proves_that_the_key_was_read(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 6455 §4.2.2: SHA-1 of the key and a fixed text."""
    proof = base64.b64encode(
        hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    ).decode()
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        response = read(upgrade_request("/p?q")).accept("chat", [(b"X-A", b"\xfc")])
    assert (
        lines(response)
        == [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {proof}",
            "server: uvicorn",
            "date: today",
            "X-A: \xfc",
            "Sec-WebSocket-Protocol: chat",
            "",
        ][:-1]
    )
    assert caplog.messages == ['10.0.0.1:5 - "WebSocket /p?q" [accepted]']


def test_extensions_are_declined_by_silence() -> None:
    """§9.1: what the server does not mention is not in use."""
    response = read(upgrade_request(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])).accept(
        None, []
    )
    assert b"permessage-deflate" not in response


@pytest.mark.parametrize(
    ("subprotocol", "headers", "text"),
    [
        ("a b", [], "subprotocol 'a b' is not a token"),
        ("日本", [], "is not a token"),
        (None, [(b"x", b"a\r\nSet-Cookie: b")], "response header x has a line break"),
        (None, [(b"x: y\r\nz", b"a")], "is not a token"),
        (None, [(b"", b"a")], "is not a token"),
    ],
)
def test_response_cannot_be_split(
    subprotocol: str | None, headers: list[tuple[bytes, bytes]], text: str
) -> None:
    """CWE-113: an application may pass on what a client sent."""
    handshake = read(upgrade_request())
    with pytest.raises(ValueError, match=text):
        handshake.accept(subprotocol, headers)


def test_refuse_answers_in_http(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        response = read(upgrade_request()).refuse(
            429, b"slow down", [(b"Retry-After", b"3"), (b"date", b"now")]
        )
    head, _, body = response.partition(b"\r\n\r\n")
    assert body == b"slow down"
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 429 Too Many Requests",
        "Retry-After: 3",
        "date: now",
        "Connection: close",
        "Content-Length: 9",
        "Content-Type: text/plain; charset=utf-8",
    ]
    assert caplog.messages == ['10.0.0.1:5 - "WebSocket /" 429']


def test_status_without_a_phrase() -> None:
    assert refusal(599, b"", ()).startswith(b"HTTP/1.1 599 \r\n")


@pytest.mark.parametrize("status", [101, 199, 600])
def test_status_that_is_no_refusal(status: int) -> None:
    with pytest.raises(ValueError, match=f"refusal status is {status}"):
        refusal(status, b"", ())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"GET", b"POST"), 405),
        ((b"HTTP/1.1", b"HTTP/1.0"), 505),
        ((b"HTTP/1.1", b"HTTP/3.0"), 400),
        ((b"Upgrade: websocket", b"Upgrade: h2c"), 426),
        ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 400),
        ((b"Sec-WebSocket-Version: 13", b"X: 13"), 400),
        ((KEY.encode(), b"c2hvcnQ="), 400),
        ((KEY.encode(), b"***"), 400),
        ((b"Sec-WebSocket-Key", b"X-Key"), 400),
        ((b"Host: 127.0.0.1", b"Content-Length: 5"), 400),
        ((b"Host: 127.0.0.1", b"Transfer-Encoding: chunked"), 400),
        ((b"Host: 127.0.0.1", b"Sec-WebSocket-Protocol: \xff\xfe"), 400),
        ((b"Host: 127.0.0.1", b"Origin: a\r\nOrigin: b"), 400),
        ((b"Host: 127.0.0.1", b"X: " + b"a" * 9000), 431),
        ((b"Host: 127.0.0.1", b"\r\n".join([b"X: a"] * 130)), 431),
        ((b"GET /", b"GET /" + b"a" * 9000), 414),
    ],
)
def test_requests_that_are_no_handshake(change: tuple[bytes, bytes], status: int) -> None:
    """Each gets a response that says what is wrong; none leaves the client waiting."""
    with pytest.raises(HandshakeRefused) as caught:
        read(upgrade_request().replace(*change))
    assert caught.value.response.startswith(f"HTTP/1.1 {status} ".encode())


def test_no_header_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A cookie or a token stays out of the log, at every level that uvicorn sets."""
    with caplog.at_level(logging.DEBUG, "uvicorn.error"):
        read(upgrade_request(headers=[("Authorization", "Bearer secret")])).accept(None, [])
    assert "secret" not in caplog.text
