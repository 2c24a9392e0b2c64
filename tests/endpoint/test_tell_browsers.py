"""Telling browsers: what middleware makes of refusals, event by event; `tests/security` does it over sockets."""

from __future__ import annotations

from typing import Any

import pytest

from roomful.endpoint import TellBrowsers

Events = list[dict[str, Any]]

CONNECT: Events = [{"type": "websocket.connect"}]
ACCEPT = {"type": "websocket.accept", "subprotocol": None}


async def told(
    events: Events, incoming: Events, *, receives: bool = False, type_: str = "websocket"
) -> Events:
    """Return what the server gets of an application that sends these events."""
    sent: Events = []
    left = list(incoming)

    async def receive() -> Any:
        return left.pop(0)

    async def send(event: Any) -> None:
        sent.append(dict(event))

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        if receives:
            await receive()
        for event in events:
            await send(event)

    await TellBrowsers(app)({"type": type_}, receive, send)
    assert left == ([] if sent or events else incoming)
    return sent


@pytest.mark.parametrize("receives", [True, False])
@pytest.mark.parametrize(
    ("events", "code", "reason"),
    [
        ([{"type": "websocket.close"}], 4501, ""),
        ([{"type": "websocket.close", "code": 4444, "reason": "no"}], 4444, "no"),
        (
            [
                {"type": "websocket.http.response.start", "status": 429},
                {"type": "websocket.http.response.body", "body": b"too ", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"many"},
            ],
            1013,
            "too many",
        ),
    ],
)
async def test_refusal_becomes_a_code(events: Events, code: int, reason: str, receives: bool) -> None:
    """Whether or not the application has taken the event that opens the handshake."""
    assert await told(events, CONNECT, receives=receives) == [
        ACCEPT,
        {"type": "websocket.close", "code": code, "reason": reason},
    ]


async def test_client_that_has_gone_is_told_nothing() -> None:
    """Nobody is there to be accepted."""
    assert await told([{"type": "websocket.close"}], [{"type": "websocket.disconnect", "code": 1006}]) == []


async def test_what_is_accepted_is_left_alone() -> None:
    """A close behind an accept is the application's own, and so is a request."""
    events: Events = [dict(ACCEPT), {"type": "websocket.close"}]
    assert await told(events, CONNECT, receives=True) == events
    request: Events = [{"type": "http.response.start", "status": 404}]
    assert await told(request, [], type_="http") == request


async def test_large_response_is_not_kept() -> None:
    """Only what a close frame can say is."""
    events: Events = [{"type": "websocket.http.response.start", "status": 403}]
    events += [{"type": "websocket.http.response.body", "body": b"x" * 10_000, "more_body": True}] * 50
    events += [{"type": "websocket.http.response.body", "body": b""}]

    assert (await told(events, CONNECT))[1] == {"type": "websocket.close", "code": 4501, "reason": "x" * 123}
