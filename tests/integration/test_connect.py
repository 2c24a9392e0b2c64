"""How `connect` accepts and refuses, and what it is given."""

import asyncio

import pytest

from roomful import Consumer, Limits, Refuse
from roomful.testing import ConnectionClosed, Refused

from .conftest import Serve


async def test_connect_accepts_when_it_returns_and_passes_path_parameters(serve: Serve) -> None:
    """A consumer that does nothing in `connect` is connected; parameters come by their names."""
    seen: list[object] = []

    class Named(Consumer):
        async def connect(self, number: int, room: str = "nowhere") -> None:
            seen.append((number, room, self.scope["path"]))

    site = await serve({"/a/{number:int}/{room}": Named, "/b/{number:int}": Named})
    async with site.connect("/a/5/lobby"), site.connect("/b/6?x=y"):
        pass

    assert seen == [(5, "lobby", "/a/5/lobby"), (6, "nowhere", "/b/6")]


async def test_connect_accepts_with_a_subprotocol_and_headers(serve: Serve) -> None:
    """What the consumer chooses is what the client gets; a second accept is an error of the program."""
    seen: list[object] = []

    class Choosing(Consumer):
        async def connect(self) -> None:
            seen.append(self.scope["subprotocols"])
            seen.append(dict(self.scope["headers"])[b"cookie"])
            await self.accept(subprotocol="v2", headers={"X-Answer": "42"})
            await self.send("accepted")

    site = await serve(Choosing)
    async with site.connect(subprotocols=["v1", "v2"], cookies={"a": "1"}) as client:
        assert client.accepted_subprotocol == "v2"
        assert client.accepted_headers["x-answer"] == "42"
        assert (await client.receive()).text == "accepted"

    assert seen == [["v1", "v2"], b"a=1"]


async def test_connect_refuses_with_a_response(serve: Serve) -> None:
    """Before anything was accepted the client gets status, headers and a sentence."""

    class Closed(Consumer):
        async def connect(self) -> None:
            raise Refuse(429, "come later", headers={"Retry-After": "30"})

        async def disconnect(self) -> None:
            raise AssertionError("never connected")

    site = await serve(Closed)
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass

    assert (caught.value.status, caught.value.text) == (429, "come later\n")
    assert caught.value.headers["retry-after"] == "30"


async def test_connect_refuses_after_it_has_accepted(serve: Serve) -> None:
    """Then the client gets the close code that says what the status says, and `disconnect` runs."""
    codes: list[int] = []

    class Closed(Consumer):
        async def connect(self) -> None:
            await self.join("room")
            await self.send("welcome")
            raise Refuse(403, "banned")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    site = await serve(Closed)
    async with site.connect() as client:
        await client.receive_event("roomful.joined")
        assert (await client.receive()).text == "welcome"
        with pytest.raises(ConnectionClosed, match="4501"):
            await client.receive()
        assert client.close_reason == "banned"
    await site.idle()

    assert codes == [4501]


async def test_error_in_connect_is_500(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns no more; the log has the traceback."""

    class Broken(Consumer):
        async def connect(self) -> None:
            raise LookupError("secret")

    site = await serve(Broken)
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass

    assert caught.value.status == 500
    assert b"secret" not in caught.value.body
    assert "LookupError: secret" in caplog.text


async def test_unknown_path_is_404(serve: Serve) -> None:
    """The router refuses what it does not know; nothing is logged as an error."""
    site = await serve({"/known": Consumer})
    with pytest.raises(Refused) as caught:
        async with site.connect("/unknown"):
            pass

    assert caught.value.status == 404


async def test_handshake_that_takes_too_long_is_refused(serve: Serve) -> None:
    """`connect` is not waited for beyond the limit; it is cancelled."""
    cancelled = asyncio.Event()

    class Slow(Consumer):
        async def connect(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    site = await serve(Slow, limits=Limits(handshake_timeout_s=0.05))
    with pytest.raises(Refused) as caught:
        async with site.connect():
            pass
    async with asyncio.timeout(5):
        await cancelled.wait()

    assert caught.value.status == 503
