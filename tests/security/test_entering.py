"""Tokens at the door of a real server: from every place, right and wrong."""

from __future__ import annotations

import time

import pytest

from roomful import CloseCode, Hub, JwtAuth
from roomful.auth import Cookie, Header, Query, Subprotocol
from roomful.core.access import Principal
from roomful.routing import ProtocolTypeRouter
from roomful.testing import ConnectionClosed, Refused
from tests.auth.keys import SECRET, pem, token, unsigned
from tests.integration.raw import RawClient
from tests.integration.waiting import until
from tests.security.door import Echo, bearer, control, opened


def jwt_auth(**options: object) -> JwtAuth:
    return JwtAuth(key=SECRET, algorithms=["HS256"], **options)  # type: ignore[arg-type] # of any kind


EVERYWHERE = (Header(), Cookie("session"), Subprotocol(), Query("token"))


@pytest.mark.parametrize(
    "how",
    [
        {"headers": bearer(token())},
        {"headers": {"authorization": f"bearer  {token()}"}},
        {"cookies": {"other": "x", "session": token()}},
        {"subprotocols": ["roomful", f"roomful.token.{token()}"]},
        {"path": f"/?x=1&token={token()}&y=2"},
    ],
    ids=["header", "header in lower case", "cookie", "subprotocol", "query"],
)
async def test_token_is_found_where_it_may_stand(transport: str, how: dict[str, object]) -> None:
    """Each source lets in, and the consumer knows who is there."""
    hub = Hub(auth=jwt_auth(sources=EVERYWHERE))
    async with opened(transport, hub) as door, door.connect(**how) as client:  # type: ignore[arg-type] # as above
        assert (await client.receive()).data == "ada"
        expected = "roomful" if "subprotocols" in how else None
        assert client.accepted_subprotocol == expected


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"path": f"/?token={token()}"},
        {"cookies": {"session": token()}},
        {"headers": {"Authorization": "Basic YWRhOng="}},
        {"headers": {"Authorization": f"Bearer {token()}", "authorization": f"Bearer {token()}"}},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {"Authorization": f"Bearer {token()} {token()}"}},
    ],
    ids=["none", "query", "cookie", "other scheme", "two", "empty", "two in one"],
)
async def test_token_elsewhere_does_not_count(transport: str, how: dict[str, object]) -> None:
    """By default header and subprotocol count, nothing else, and only one; the answer is 401 and says how to ask."""
    async with opened(transport, Hub(auth=jwt_auth())) as door:
        with pytest.raises(Refused) as refused:
            await door.connect(**how).__aenter__()  # type: ignore[arg-type] # as above

    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"].startswith("Bearer")


FORGED = {
    "expired": token(exp=time.time() - 1),
    "not yet valid": token(nbf=time.time() + 6000),
    "other audience": token(aud="others"),
    "other key": token(key="another secret, which is as long as the right one"),
    "other algorithm": token("HS512"),
    "public key as secret": token("RS256"),
    "none": unsigned({"alg": "none"}, {"sub": "ada", "exp": time.time() + 6000}),
    "tampered": token()[:-3] + "AAA",
    "no signature": token().rpartition(".")[0] + ".",
    "not UTF-8": "\xff\xfe.\xff.\xff",
    "no token": "hello",
    "dots": "." * 3000,
}


@pytest.mark.parametrize("name", FORGED)
async def test_token_that_does_not_hold_is_refused(transport: str, name: str) -> None:
    """Whatever is wrong with it, the client gets 401 and a sentence, and the server lives on."""
    async with opened(transport, Hub(auth=jwt_auth())) as door:
        with pytest.raises(Refused) as refused:
            await door.connect(headers=bearer(FORGED[name])).__aenter__()
        async with door.connect(headers=bearer(token())) as client:
            assert (await client.receive()).data == "ada"

    assert (refused.value.status, refused.value.headers["www-authenticate"]) == (
        401,
        'Bearer error="invalid_token"',
    )
    assert refused.value.body in (
        b"token is expired\n",
        b"token is not valid\n",
        b"credential is not valid\n",
    )


async def test_public_keys_of_an_issuer_let_in(transport: str) -> None:
    """A hub that knows the public half lets in what the private half has signed."""
    auth = JwtAuth(key=pem("ES256"), algorithms=["ES256"], audience="us")
    async with (
        opened(transport, Hub(auth=auth)) as door,
        door.connect(headers=bearer(token("ES256", aud="us"))) as client,
    ):
        assert (await client.receive()).data == "ada"


async def test_first_message_lets_in(transport: str) -> None:
    """A client that can set nothing says who it is in its first message, and gets an answer if it asks for one."""
    hub = Hub(auth=jwt_auth(first_message=True))
    async with opened(transport, hub) as door, door.connect() as client:
        await client.send(control("authenticate", token(), 1))
        await client.send('{"type":"echo","data":"early","id":2}')

        reply = await client.receive()
        assert reply.reply == 1
        assert 0 < reply.data["expires_in"] <= 3600
        assert (await client.receive()).data == "ada"
        assert (await client.receive()).raw == '{"reply":2,"data":"early"}'


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"echo","data":1}',
        "hello",
        b"\0\0",
        control("refresh", token()),
        control("authenticate", FORGED["none"]),
        '{"type":"roomful.authenticate"}',
        '{"type":"roomful.authenticate","data":{"token":7}}',
        '{"type":"roomful.authenticate","data":' + "[" * 9000,
    ],
)
async def test_first_message_that_is_none_ends_the_connection(transport: str, message: str | bytes) -> None:
    """Anything else is answered with 4500, and no handler has seen it."""
    hub = Hub(auth=jwt_auth(first_message=True))
    async with opened(transport, hub) as door, door.connect() as client:
        await client.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()

    assert closed.value.code == 4500


@pytest.mark.parametrize("pieces", [1, 40])
async def test_first_message_is_small(transport: str, pieces: int) -> None:
    """Whoever is not known is not listened to for longer than a token is long, in pieces neither: 1009, no handler."""
    hub = Hub(auth=jwt_auth(first_message=True))
    async with opened(transport, hub) as door:
        client = await RawClient.connect(door.port, "/")
        message = control("authenticate", "x" * 20_000).encode()
        size = len(message) // pieces + 1
        for start in range(0, len(message), size):
            last = start + size >= len(message)
            client.frame((0x80 if last else 0) | (0 if start else 1), message[start : start + size])
        await until(lambda: client.close_code is not None)
        client.hang_up()

    assert client.close_code == CloseCode.TOO_BIG


async def test_unfinished_first_message_is_bounded_on_our_server() -> None:
    """It is given up when its frames are too large, and not when the last of them has come."""
    hub = Hub(auth=jwt_auth(first_message=True))
    async with opened("roomful", hub) as door:
        client = await RawClient.connect(door.port, "/")
        client.frame(0x01, b"x" * 16_000)
        client.frame(0x00, b"x" * 1000)
        await until(lambda: client.close_code is not None)
        client.hang_up()

    assert client.close_code == CloseCode.TOO_BIG


async def test_large_message_behind_the_first_is_taken(transport: str) -> None:
    """The small bound is that of the first message; what comes behind it waits until it is known who sends it."""
    hub = Hub(auth=jwt_auth(first_message=True))
    text = "x" * 300_000
    async with opened(transport, hub) as door, door.connect() as client:
        await client.send(control("authenticate", token()))
        await client.send(f'{{"type":"echo","data":"{text}","id":2}}')
        assert (await client.receive()).data == "ada"
        assert (await client.receive()).data == text


async def test_middleware_guards_any_application(transport: str) -> None:
    """Around a router it refuses by itself; an application of any kind finds who it is in the scope."""
    seen: list[object] = []

    async def plain(scope: dict[str, object], receive: object, send: object) -> None:
        del receive
        seen.append(scope["roomful"])
        await send({"type": "websocket.accept"})  # type: ignore[operator] # as ASGI has it
        await send({"type": "websocket.send", "text": "in"})  # type: ignore[operator] # likewise
        await send({"type": "websocket.close"})  # type: ignore[operator] # likewise

    guarded = JwtAuth(plain, key=SECRET, algorithms=["HS256"])  # type: ignore[arg-type] # a test's own shape
    hub = Hub()
    app = ProtocolTypeRouter({"websocket": guarded}, hub=hub)
    async with opened(transport, hub, app=app) as door:
        for how in ({"headers": bearer(token())}, {"subprotocols": ["roomful", f"roomful.token.{token()}"]}):
            async with door.connect(**how) as client:  # type: ignore[arg-type] # as above
                assert (await client.receive()).raw == "in"
                assert client.accepted_subprotocol == (None if "headers" in how else "roomful")
                with pytest.raises(ConnectionClosed):
                    await client.receive()
        with pytest.raises(Refused) as refused:
            await door.connect().__aenter__()

    assert [principal.id for principal in seen if isinstance(principal, Principal)] == ["ada", "ada"]
    assert refused.value.status == 401


async def test_middleware_tells_the_consumer_behind_it(transport: str) -> None:
    """A consumer behind it knows who is there, and its connection can be renewed and ends with the token."""
    hub = Hub()
    guarded = JwtAuth(Echo.as_asgi(hub=hub), key=SECRET, algorithms=["HS256"])
    app = ProtocolTypeRouter({"websocket": guarded}, hub=hub)
    async with (
        opened(transport, hub, app=app) as door,
        door.connect(headers=bearer(token(exp=time.time() + 100))) as client,
    ):
        assert (await client.receive()).data == "ada"
        await client.send(control("refresh", token(role="new"), 7))
        assert 0 < (await client.receive()).data["expires_in"] <= 3600
        await client.send('{"type":"who","id":8}')
        assert (await client.receive()).data["claims"]["role"] == "new"


async def test_anonymous_may_enter_where_the_program_says_so(transport: str) -> None:
    """Without a token nobody is known; a wrong token is refused all the same."""
    from roomful import Admission

    hub = Hub(auth=jwt_auth(), admission=Admission(anonymous=True))
    async with opened(transport, hub) as door:
        async with door.connect() as client:
            assert (await client.receive()).data == ""
        with pytest.raises(Refused):
            await door.connect(headers=bearer(FORGED["expired"])).__aenter__()
