"""The connection: its handshake, and `connect` under way."""

from __future__ import annotations

import pytest

from roomful.core.close_codes import CloseCode
from roomful.core.errors import InvalidState
from roomful.hub.member import State
from tests.fakes import FakeKind
from tests.hub.scene import Client, Scene


async def test_connect_that_returns_accepts(scene: Scene) -> None:
    """A connection that nobody has accepted is accepted when `connect` returns."""
    client = scene.opening()
    assert client.connection.state is State.OPENING
    assert client.connection.is_opening
    assert client.wire.calls == []

    client.connected()

    assert not client.connection.is_opening
    assert client.wire.calls == [("accept", None, [])]
    assert client.connection.state is State.OPEN


@pytest.mark.parametrize("first", ["send", "join", "close"])
async def test_first_use_accepts(scene: Scene, first: str) -> None:
    """The first join, send or close accepts; a browser would see no code of a handshake that was refused."""
    client = scene.opening()
    if first == "send":
        client.connection.send("hello")
    elif first == "join":
        await client.connection.join("lobby")
    else:
        client.connection.close(4500, "no")

    assert client.wire.calls[0] == ("accept", None, [])
    client.connected()
    assert client.wire.calls.count(("accept", None, [])) == 1


async def test_accept_carries_subprotocol_and_headers(scene: Scene) -> None:
    """Header names go out in lower case, as ASGI wants them; a second accept is a mistake."""
    client = scene.opening()

    client.connection.accept("chat", {"X-Room": "é"})

    assert client.wire.calls == [("accept", "chat", [(b"x-room", b"\xe9")])]
    with pytest.raises(InvalidState, match="connection is accepted already"):
        client.connection.accept(None, {})


async def test_header_that_cannot_be_written_accepts_nothing(scene: Scene) -> None:
    """A header that HTTP cannot carry leaves the handshake open, so that it can still be refused."""
    client = scene.opening()

    with pytest.raises(UnicodeEncodeError):
        client.connection.accept(None, {"x": "☃"})

    assert client.connection.state is State.OPENING
    client.connection.refuse(500, b"", [], "")
    assert client.wire.calls == [("refuse", 500, b"", [])]
    client.connection.abandoned()


async def test_refusal_before_the_handshake_is_an_http_response(scene: Scene) -> None:
    """A refused connection was never accepted: `disconnect` does not run for it."""
    client = scene.opening()

    client.connection.refuse(404, b"no such room", [(b"a", b"b")], "no such room")
    client.connection.abandoned()
    client.wire.lose(1006)

    assert client.wire.calls == [("refuse", 404, b"no such room", [(b"a", b"b")])]
    assert client.connection.code == CloseCode.NOT_FOUND
    assert client.handler.seen == []


async def test_refusal_after_the_handshake_closes_with_the_matching_code(scene: Scene) -> None:
    """Once accepted, a refusal is a close code."""
    client = scene.opening()
    client.connection.send("welcome")

    client.connection.refuse(403, b"", [], "not you")
    client.connection.abandoned()
    client.wire.lose(1006)

    assert client.wire.closed == [("close", CloseCode.FORBIDDEN, "not you", None)]
    assert client.handler.seen == [("closed", CloseCode.FORBIDDEN)]


async def test_refusal_of_a_connection_that_has_gone_does_nothing(scene: Scene) -> None:
    """Nobody is left to be refused."""
    client = scene.opening()
    client.wire.lose(1001)
    client.connection.refuse(403, b"", [], "")
    client.connection.abandoned()

    assert client.wire.calls == []


async def test_connection_needs_a_handler(scene: Scene) -> None:
    """Whoever lets a connection begin without a consumer learns so."""
    client = Client(scene.engine, FakeKind(), supervises=True)

    with pytest.raises(InvalidState, match="connection has no handler"):
        client.connected()

    client.connection.received("dropped")
    client.connection.abandoned()
    client.wire.lose()


async def test_loss_during_connect_cancels_it(scene: Scene) -> None:
    """The client has gone, so `connect` is cancelled; what it had accepted is cleaned up after it."""
    client = scene.opening()
    client.connection.send("welcome")

    client.wire.lose(1001)

    assert client.connecting.cancelled()
    assert client.handler.seen == []
    client.connection.abandoned()
    assert client.handler.seen == [("closed", 1001)]


async def test_connect_that_returns_after_the_loss_cleans_up(scene: Scene) -> None:
    """A `connect` that was done before its cancellation reached it is followed by the clean-up alone."""
    client = scene.opening()
    client.connection.received("unheard")
    client.connection.send("welcome")
    client.wire.lose(1001)

    client.connected()

    assert client.handler.seen == [("closed", 1001)]
    assert scene.engine.statistics().unhandled == 1
