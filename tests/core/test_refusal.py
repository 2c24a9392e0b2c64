"""Refusals as HTTP responses."""

from roomful.core.refusal import refusal_response, respond
from tests.endpoint.server import Server


def test_refusal_is_plain_text_with_its_length() -> None:
    """The reason is the body; headers of the application go out in lower case."""
    status, body, headers = refusal_response(429, "slöw", {"Retry-After": "30", "X": "é"})

    assert (status, body) == (429, "slöw\n".encode())
    assert headers == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"6"),
        (b"retry-after", b"30"),
        (b"x", b"\xe9"),
    ]


def test_refusal_without_a_reason_says_that_it_is_one() -> None:
    """No empty body."""
    assert refusal_response(403, "")[1] == b"refused\n"


async def test_response_is_two_events() -> None:
    """As ASGI wants it, for HTTP and for a handshake."""
    server = Server()
    await respond(server.send, 426, b"no", [(b"a", b"b")])
    await respond(server.send, 503, b"", (), prefix="websocket.http.response")

    assert server.sent == [
        {"type": "http.response.start", "status": 426, "headers": [(b"a", b"b")]},
        {"type": "http.response.body", "body": b"no"},
        {"type": "websocket.http.response.start", "status": 503, "headers": []},
        {"type": "websocket.http.response.body", "body": b""},
    ]
