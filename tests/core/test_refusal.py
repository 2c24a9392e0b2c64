"""Refusals as HTTP responses."""

import pytest

from roomful.core.refusal import offered_subprotocol, reason_of_response, refusal_response, respond
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


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ([], None),
        (None, None),
        (["a", "b"], "a"),
        (["a", "roomful"], "roomful"),
        (["roomful.token.x", "b"], "b"),
        (["roomful.token.x"], None),
        (["", "a b", "é", "ok"], "ok"),
    ],
)
def test_handshake_that_is_accepted_to_be_closed_answers_what_is_offered(
    offered: list[str] | None, answer: str | None
) -> None:
    """Ours, or the first that may stand in an answer; never a secret."""
    assert offered_subprotocol({"subprotocols": offered}) == answer


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not here\n", "not here"),
        (b'{"detail":"who are you?"}', "who are you?"),
        (b'{"detail":[{"loc":["query"]}]}', "Not Found"),
        (b'{"detail":', "Not Found"),
        (b"[1]", "[1]"),
        (b"", "Not Found"),
        (b"<html>", "Not Found"),
        (b"\xff", "\ufffd"),
        (("é" * 100).encode(), "é" * 61),
    ],
)
def test_reason_is_what_a_response_says(body: bytes, reason: str) -> None:
    """Its text, or the detail of its JSON, cut to what a close frame holds; else the name of its status."""
    assert reason_of_response(404, body) == reason


def test_status_without_a_name_says_nothing() -> None:
    """Not every number has one."""
    assert reason_of_response(499, b"") == ""
