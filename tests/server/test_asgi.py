"""The ASGI call over real sockets: order of messages, ends, errors, and both directions of backpressure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from roomful.core.errors import ClientDisconnected, UnexpectedMessage
from tests.server.apps import Receive, Scope, Send, echo, run_messages
from tests.server.serving import PATIENCE_S, RawClient, masked, raw_request, serve, until, upgrade_request

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1")]}


class Recording:
    """An application that accepts, and keeps what it receives and what raises."""

    def __init__(self, *, accept: bool = True) -> None:
        self.received: list[dict[str, Any]] = []
        self.done = asyncio.Event()
        self.error: BaseException | None = None
        self.accept = accept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self.accept:
                await send(ACCEPT)
            while not self.received or self.received[-1]["type"] != "websocket.disconnect":
                self.received.append(await receive())
            await self.after(receive, send)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.done.set()

    async def after(self, receive: Receive, send: Send) -> None:
        """Do something after the disconnect."""

    async def until_done(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.done.wait()


async def test_messages_keep_their_kind_and_order() -> None:
    app = Recording()
    async with serve(app) as served:
        client = await RawClient.open(served)
        client.send(masked("text", b"a") + masked("binary", b"b") + masked("text", b"c", final=False))
        client.send(masked("ping", b"now") + masked("continuation", b"d") + masked("close", b"\x0f\xa0bye"))
        assert await client.frame() == (0x8A, b"now")
        assert await client.close_code() == 4000
        await app.until_done()
    assert app.received == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.receive", "text": "cd"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "bye"},
    ]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (masked("close"), 1005),
        (masked("close", b"\x03\xe8"), 1000),
        (b"", 1006),
        (masked("text", b"\xff"), 1007),
        (b"\x81\x01a", 1002),
    ],
)
async def test_code_of_the_disconnect(end: bytes, code: int) -> None:
    """The client's; 1005 if its frame has none; 1006 without a frame; ours if it broke the protocol."""
    app = Recording()
    async with serve(app) as served:
        client = await RawClient.open(served)
        client.send(end)
        await client.leave()
        await app.until_done()
    assert app.received[-1]["code"] == code


async def test_client_that_leaves_before_it_is_accepted() -> None:
    app = Recording(accept=False)
    async with serve(app) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        await client.leave()
        await app.until_done()
    assert app.received == [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1006, "reason": ""},
    ]


async def test_what_is_sent_before_accept_waits_for_it() -> None:
    """RFC 6455 §4.1 forbids it; what comes all the same is held, not lost and not read early."""
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await echo(scope, receive, send)

    async with serve(app) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        await until(served.ours)
        client.send(masked("text", b"early") * 2)
        await client.writer.drain()
        release.set()
        assert (await client.response())[0] == 101
        assert [await client.text(), await client.text()] == ["early", "early"]
        await client.leave()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([ACCEPT], 1000),
        ([ACCEPT, CLOSE], 1000),
        ([ACCEPT, {**CLOSE, "code": 4001, "reason": "x"}], 4001),
        ([ACCEPT, {"type": "nonsense"}], 1011),
        ([ACCEPT, ACCEPT], 1011),
        ([ACCEPT, {**CLOSE, "code": 1006}], 1011),
        ([ACCEPT, {**CLOSE, "reason": "x" * 124}], 1011),
    ],
)
async def test_code_that_the_client_sees(messages: list[dict[str, Any]], code: int) -> None:
    """An application that returns closes with 1000, one that raises with 1011."""
    async with serve(run_messages(*messages)) as served:
        client = await RawClient.open(served)
        assert await client.close_code() == code
        client.send(masked("close", code.to_bytes(2, "big")))
        assert await client.end() == b""
        await client.leave()


@pytest.mark.parametrize(
    ("messages", "status", "body"),
    [
        ([CLOSE], 403, b""),
        ([], 500, b"Internal Server Error"),
        ([{"type": "websocket.send", "text": "a"}], 500, b"Internal Server Error"),
        ([{**ACCEPT, "headers": [(b"a", b"b\r\nc: d")]}], 500, b"Internal Server Error"),
        ([{**ACCEPT, "subprotocol": "a b"}], 500, b"Internal Server Error"),
        ([START], 500, b"Internal Server Error"),
        ([{**START, "status": 101}], 500, b"Internal Server Error"),
        ([START, ACCEPT], 500, b"Internal Server Error"),
        (
            [
                START,
                {"type": "websocket.http.response.body", "body": b"no ", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"entry"},
            ],
            401,
            b"no entry",
        ),
        ([START, {"type": "websocket.http.response.body"}], 401, b""),
    ],
)
async def test_response_that_the_client_sees(
    messages: list[dict[str, Any]], status: int, body: bytes
) -> None:
    """Before it is accepted, an application refuses with a response, and failing is a 500."""
    async with serve(run_messages(*messages)) as served:
        got = await raw_request(served, upgrade_request())
        await served.until_empty()
    assert (got[0], got[2]) == (status, body)
    assert got[1]["connection"] == "close"


async def test_headers_of_a_refusal() -> None:
    body = {"type": "websocket.http.response.body", "body": b"x"}
    async with serve(run_messages(START, body)) as served:
        _, headers, _ = await raw_request(served, upgrade_request())
    assert headers["x-a"] == "1"
    assert headers["content-length"] == "1"


async def test_sending_after_the_client_has_gone_is_an_os_error() -> None:
    """ASGI 2.4: the server should raise a subclass of `OSError`."""

    class App(Recording):
        async def after(self, receive: Receive, send: Send) -> None:
            assert (await receive())["type"] == "websocket.disconnect"
            await send({"type": "websocket.send", "text": "x"})

    app = App()
    async with serve(app) as served:
        client = await RawClient.open(served)
        await client.leave()
        await app.until_done()
        await served.until_empty()
    assert isinstance(app.error, ClientDisconnected)
    assert isinstance(app.error, OSError)


async def test_closing_after_the_client_has_gone_is_no_error() -> None:
    class App(Recording):
        async def after(self, receive: Receive, send: Send) -> None:
            await send(CLOSE)
            with pytest.raises(UnexpectedMessage):
                await send(CLOSE)

    app = App()
    async with serve(app) as served:
        client = await RawClient.open(served)
        await client.leave()
        await app.until_done()
    assert app.error is None


async def test_answering_after_the_client_has_gone_is_an_os_error() -> None:
    class App(Recording):
        async def after(self, receive: Receive, send: Send) -> None:
            await send(ACCEPT)

    app = App(accept=False)
    async with serve(app) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        await client.leave()
        await app.until_done()
    assert isinstance(app.error, ClientDisconnected)


async def test_refusing_after_the_client_has_gone_is_an_os_error() -> None:
    class App(Recording):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            await super().__call__(scope, receive, send)

        async def after(self, receive: Receive, send: Send) -> None:
            body = {"type": "websocket.http.response.body", "body": b"x"}
            await send({**body, "more_body": True})
            await send(body)

    app = App(accept=False)
    async with serve(app) as served:
        client = await RawClient.dial(served)
        client.send(upgrade_request())
        await client.leave()
        await app.until_done()
    assert isinstance(app.error, ClientDisconnected)


async def test_application_that_fails_after_its_close_changes_nothing() -> None:
    async with serve(run_messages(ACCEPT, {**CLOSE, "code": 4000}, ACCEPT)) as served:
        client = await RawClient.open(served)
        assert await client.close_code() == 4000


async def test_send_of_nothing_sends_nothing() -> None:
    """As in uvicorn; ASGI asks for text or bytes."""
    async with serve(run_messages(ACCEPT, {"type": "websocket.send"})) as served:
        client = await RawClient.open(served)
        assert await client.frame() == (0x88, b"\x03\xe8")


async def test_after_its_own_close_an_application_receives_the_disconnect() -> None:
    received: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({**CLOSE, "code": 4000, "reason": "r"})
        received.append(await receive())

    async with serve(app) as served:
        client = await RawClient.open(served)
        client.send(masked("text", b"too late"))
        assert await client.close_code() == 4000
        client.send(masked("text", b"too late") + masked("close", b"\x0f\xa0"))
        assert await client.end() == b""
        await client.leave()
    assert received == [{"type": "websocket.disconnect", "code": 4000, "reason": "r"}]


async def test_failing_application_is_logged_and_its_text_stays_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise ValueError("inner detail")

    with caplog.at_level(logging.ERROR, "uvicorn.error"):
        async with serve(app) as served:
            client = await RawClient.open(served)
            assert await client.frame() == (0x88, b"\x03\xf3")
            await client.leave()
    assert "Exception in ASGI application" in caplog.text
    assert "inner detail" in caplog.text


async def test_application_that_returns_something_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        await send(ACCEPT)
        return 1

    with caplog.at_level(logging.ERROR, "uvicorn.error"):
        async with serve(app) as served:
            client = await RawClient.open(served)
            assert await client.close_code() == 1000
            await client.leave()
    assert "ASGI callable should return None, but returned '1'." in caplog.text


async def test_messages_that_are_not_received_hold_the_client_back() -> None:
    """A bounded queue, then TCP: the server never takes in what its application does not take out."""
    received, release = [], asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await release.wait()
        received.extend([(await receive())["bytes"] for _ in range(400)])

    async with serve(app) as served:
        client = await RawClient.open(served)
        sending = asyncio.create_task(
            send_all(client, [masked("binary", bytes([i % 256]) * 50_000) for i in range(400)])
        )
        wire = await until_held(served)
        assert not sending.done()
        held = len(wire._peer._inbox)  # type: ignore[attr-defined]
        assert held <= 6  # of 50,000 bytes each: `Limits.max_inbox_bytes` is 256 KiB
        release.set()
        await sending
        assert await client.close_code() == 1000
        await client.leave()
    assert received == [bytes([i % 256]) * 50_000 for i in range(400)]


async def test_many_small_messages_are_bounded_by_their_number() -> None:
    received, release = [], asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await release.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message["text"])

    async with serve(app, ws_max_queue=5) as served:
        client = await RawClient.open(served)
        client.send(b"".join(masked("text", str(i).encode()) for i in range(1000)) + masked("close"))
        wire = await until_held(served)
        assert len(wire._peer._inbox) == 5  # type: ignore[attr-defined]
        release.set()
        assert await client.close_code() is None
        await client.leave()
    assert received == [str(i) for i in range(1000)]


async def test_send_waits_for_a_client_that_does_not_read() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(ACCEPT)
        for _ in range(300):
            await send({"type": "websocket.send", "bytes": bytes(65_536)})
            sent += 1

    async with serve(app) as served:
        client = await RawClient.open(served, receive_buffer=4096)
        (wire,) = served.ours()
        await until(lambda: not wire._writable)
        assert sent < 30
        assert wire.unsent() < 3 * 65_536
        for _ in range(300):
            assert len((await client.frame())[1]) == 65_536
        assert await client.close_code() == 1000
        await client.leave()
    assert sent == 300


async def test_send_that_waits_ends_when_the_client_goes() -> None:
    errors: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65_536)})
        except OSError as error:
            errors.append(error)
            raise

    async with serve(app) as served:
        client = await RawClient.open(served, receive_buffer=4096)
        (wire,) = served.ours()
        await until(lambda: not wire._writable)
        client.drop()
        await served.until_empty()
    assert [type(error) for error in errors] == [ClientDisconnected]


async def test_several_tasks_may_receive() -> None:
    """One that is cancelled takes no message with it."""
    taken: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        tasks = [asyncio.create_task(receive()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await send({"type": "websocket.send", "text": "ready"})
        taken.extend([message["text"] for message in await asyncio.gather(*tasks[1:])])

    async with serve(app) as served:
        client = await RawClient.open(served)
        assert await client.text() == "ready"
        client.send(masked("text", b"1") + masked("text", b"2"))
        assert await client.close_code() == 1000
        await client.leave()
    assert sorted(taken) == ["1", "2"]


@pytest.mark.parametrize("reset", [True, False])
async def test_context_of_the_application(reset: bool) -> None:
    """The setting `reset_contextvars` of uvicorn holds here too."""
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("of the server")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await send(CLOSE)

    async with serve(app, reset_contextvars=reset) as served:
        assert (await raw_request(served, upgrade_request()))[0] == 403
    assert seen == ["unset"] if reset else seen != []


async def test_silent_client_is_pinged_and_let_go() -> None:
    """The interval and timeout are uvicorn's settings."""
    app = Recording()
    async with serve(app, ws_ping_interval=0.02, ws_ping_timeout=0.02) as served:
        client = await RawClient.open(served)
        assert await client.frame() == (0x89, b"")
        client.send(masked("pong"))
        assert await client.frame() == (0x89, b"")
        assert await client.close_code() == 1011
        await app.until_done()
        await client.leave()
    assert app.received[-1] == {
        "type": "websocket.disconnect",
        "code": 1011,
        "reason": "keepalive ping timeout",
    }


async def test_no_keepalive_without_an_interval() -> None:
    async with serve(echo, ws_ping_interval=None) as served:
        client = await RawClient.open(served)
        client.send(masked("text", b"a"))
        assert await client.text() == "a"
        assert served.ours()[0]._peer._keepalive is None  # type: ignore[attr-defined]
        await client.leave()


async def send_all(client: RawClient, frames: list[bytes]) -> None:
    for frame in frames:
        client.send(frame)
        await client.writer.drain()


async def until_held(served: Any) -> Any:
    (wire,) = served.ours()
    await until(lambda: wire._stopped)
    return wire
