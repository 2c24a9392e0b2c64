"""The application: refusals, and ends at odd times."""

from __future__ import annotations

import asyncio

import pytest

from roomful import Consumer, Hub
from roomful.core.errors import ConnectionClosed, LayerError, Refuse
from tests.clock import after, settled
from tests.endpoint.calls import RESPONSES, Call, Chat, log
from tests.endpoint.server import Server

# ── Refusing ──


class Refusing(Chat):
    async def connect(self) -> None:
        raise self.options["error"]  # type: ignore[misc] # an exception


async def test_refusal_is_an_http_response_where_the_server_can(hub: Hub) -> None:
    """Status, reason and headers reach the client; `disconnect` does not run."""
    error = Refuse(429, "slow down", headers={"Retry-After": "30"})
    call = Call(Refusing, hub, options={"error": error}, **RESPONSES)
    await call.ended()

    start, body = call.server.sent
    assert start["status"] == 429
    assert (b"retry-after", b"30") in start["headers"]
    assert body["body"] == b"slow down\n"
    assert len(log) == 1


async def test_refusal_elsewhere_is_the_servers_own(hub: Hub) -> None:
    """Without the extension a close before the accept is a 403."""
    call = Call(Refusing, hub, options={"error": Refuse(404)})
    await call.ended()

    assert call.server.sent == [{"type": "websocket.close"}]


async def test_refusal_after_the_accept_is_a_close_code(hub: Hub) -> None:
    """The reason is cut to what a close frame holds, between characters; `disconnect` runs."""

    class Late(Chat):
        async def connect(self) -> None:
            await self.accept()
            raise Refuse(401, "é" * 100)

    call = Call(Late, hub)
    await call.ended()

    assert call.server.types == ["accept", "close"]
    assert call.server.sent[1]["code"] == 4500
    assert call.server.sent[1]["reason"] == "é" * 61
    assert log[-1] == ("disconnect", 4500)


@pytest.mark.parametrize("error", [ValueError("secret"), ConnectionClosed(1000)])
async def test_connect_that_fails_is_a_500_without_internals(
    hub: Hub, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever `connect` raises, also because of another's closed connection, refuses the client and is logged."""
    call = Call(Refusing, hub, options={"error": error}, **RESPONSES)
    await call.ended()

    assert call.server.sent[0]["status"] == 500
    assert call.server.sent[1]["body"] == b"internal error\n"
    assert "connect failed" in caplog.text


async def test_connect_that_finds_the_layer_away_is_a_503(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """A layer that is away is nobody's bug: clients are told to come back, and the log says why once a second."""
    app = Refusing.as_asgi(hub=hub, error=LayerError("redis is away"))
    for pause_s in (0, 0, 0, 1.5):
        await asyncio.sleep(pause_s)
        server = Server()
        server.connects()
        await app({"type": "websocket", "path": "/", **RESPONSES}, server.receive, server.send)

        assert server.sent[0]["status"] == 503
        assert (b"retry-after", b"5") in server.sent[0]["headers"]
        assert server.sent[1]["body"] == b"not available\n"

    assert [record.getMessage() for record in caplog.records] == [
        "connection refused: redis is away",
        "connection refused: redis is away (and 2 more since the last such line)",
    ]
    assert "Traceback" not in caplog.text


async def test_layer_that_goes_away_after_the_accept_is_a_code(hub: Hub) -> None:
    """The code says the same: come back later."""

    class Late(Chat):
        async def connect(self) -> None:
            await self.accept()
            raise LayerError("redis is away")

    call = Call(Late, hub)
    await call.ended()

    assert call.server.sent[1] == {"type": "websocket.close", "code": 1013, "reason": "not available"}


async def test_room_name_from_the_request_that_cannot_be_is_the_clients_mistake(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that came in a path is answered with what is wrong about it, and fills no log."""
    call = Call(Chat, hub, path_params={"room": "x" * 201}, **RESPONSES)
    await call.ended()

    assert call.server.sent[0]["status"] == 400
    assert call.server.sent[1]["body"].startswith(b"room name is 201 bytes; the limit is 200")
    assert caplog.records == []


async def test_connect_that_closes_and_uses_the_connection(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """Who closes in `connect` and goes on gets `ConnectionClosed`, which is no failure to log."""

    class Closing(Chat):
        async def connect(self) -> None:
            await self.close(4501, "no")
            await self.join("lobby")

    call = Call(Closing, hub)
    await call.ended()

    assert call.server.types == ["accept", "close"]
    assert log[-1] == ("disconnect", 4501)
    assert caplog.records == []


async def test_handshake_that_takes_too_long_is_refused(hub: Hub) -> None:
    """After the time-out the client gets a 503, and `connect` is cancelled when the server says that it has gone."""
    ends: list[str] = []

    class Endless(Chat):
        async def connect(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

    call = Call(Endless, hub, **RESPONSES)
    await after(4.9)
    assert call.server.sent == []
    await call.ended()

    assert call.server.sent[0]["status"] == 503
    assert ends == ["cancelled"]
    assert len(log) == 1


async def test_handshake_that_was_accepted_in_time_goes_on(hub: Hub) -> None:
    """Only the accept is limited."""

    class Slow(Chat):
        async def connect(self) -> None:
            await self.accept()
            await asyncio.sleep(20)
            await self.send("at last")

    call = Call(Slow, hub)
    await after(21)
    call.server.loses()
    await call.ended()

    assert call.server.messages == ["at last"]


# ── Ends at odd times ──


async def test_client_that_goes_before_its_handshake_leaves_nothing(hub: Hub) -> None:
    """No consumer is made for it."""
    call = Call(Chat, hub, connects=False)
    call.server.loses()
    await call.ended()

    assert (log, call.server.sent) == ([], [])


async def test_call_that_is_cancelled_before_its_handshake_leaves_nothing(hub: Hub) -> None:
    """A server may go down while a client is still connecting."""
    call = Call(Chat, hub, connects=False)
    await settled()
    call.task.cancel()
    await settled()

    assert call.task.cancelled()
    assert log == []


@pytest.mark.parametrize("accepts", [True, False])
async def test_client_that_goes_during_connect_cancels_it(
    hub: Hub, accepts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The call returns in good order; `disconnect` runs if the connection had been accepted."""

    class Slow(Chat):
        async def connect(self) -> None:
            if accepts:
                await self.join("lobby")
            await asyncio.Event().wait()

    call = Call(Slow, hub)
    await settled()
    call.server.loses(1001)
    await call.ended()

    assert log[1:] == ([("disconnect", 1001)] if accepts else [])
    assert caplog.records == []


@pytest.mark.parametrize(("during", "code"), [("connect", 1013), ("the rest", 1006)])
async def test_server_that_cancels_the_call_ends_the_connection(hub: Hub, during: str, code: int) -> None:
    """The cancellation passes, and the consumer cleans up; who was still connecting is told to try again."""

    class Slow(Chat):
        async def connect(self) -> None:
            await self.accept()
            if during == "connect":
                await asyncio.Event().wait()

    call = Call(Slow, hub)
    await settled()
    call.task.cancel()
    await settled()

    assert call.task.cancelled()
    assert log[1:] == [("disconnect", code)]


async def test_consumer_that_cannot_be_made_opens_nothing(hub: Hub) -> None:
    """An error in the constructor is the server's to report; no connection is left behind."""

    class Broken(Consumer):
        def __init__(self) -> None:
            raise ValueError("constructor")

    call = Call(Broken, hub)

    with pytest.raises(ValueError, match="constructor"):
        await call.ended()
    assert hub.statistics().connections == 0
