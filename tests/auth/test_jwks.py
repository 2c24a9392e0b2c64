"""JWKS: keys that change while the program runs, asked for seldom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from roomful import JwtAuth, NotAuthenticated, Refuse
from roomful.auth import Jwks
from roomful.auth.tokens import Tokens
from tests.auth.keys import SECRET, jwk, token


class Issuer:
    """An HTTP server of keys.

    Attributes:
        document: What it answers.
        head: The first line and headers.
        asked: How often it was asked.
        gate: When it is set, answers wait for it.
    """

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.head = "HTTP/1.1 200 OK"
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        body = self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()
        writer.write(f"{self.head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    yield issuer
    server.close()
    await server.wait_closed()


@pytest.fixture
def now() -> list[float]:
    """A time that only the test changes."""
    return [1000.0]


@pytest.fixture
def make(issuer: Issuer, now: list[float]) -> Callable[..., Tokens]:
    def make(algorithm: str = "RS256", **options: Any) -> Tokens:
        keys = Jwks(issuer.url, clock=lambda: now[0], **options)
        return Tokens(key=keys, algorithms=[algorithm])

    return make


def signed(name: str, algorithm: str = "RS256", kid: str | None = None) -> str:
    return token(algorithm, name=name, headers={"kid": kid or name})


async def why(tokens: Tokens, text: str) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        await tokens.verify(text)
    return caught.value.why


async def test_keys_are_asked_for_once(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """Many handshakes at once, and later ones, are one question."""
    issuer.document = {"keys": [jwk("RS256", "a"), jwk("RS256", "b")]}
    tokens = make()

    found = await asyncio.gather(*(tokens.verify(signed(name)) for name in "abab"))
    await tokens.verify(signed("a"))

    assert ([principal.id for principal in found], issuer.asked) == (["ada"] * 4, 1)


async def test_rotation_needs_no_restart(
    issuer: Issuer, make: Callable[..., Tokens], now: list[float]
) -> None:
    """A new key is found when its first token comes; the old one ceases to hold when it has gone."""
    issuer.document = {"keys": [jwk("RS256", "a")]}
    tokens = make(min_refetch_s=10)
    await tokens.verify(signed("a"))

    issuer.document = {"keys": [jwk("RS256", "b")]}
    now[0] += 11
    await tokens.verify(signed("b"))

    assert await why(tokens, signed("a")) == "unknown_key"
    assert issuer.asked == 2


async def test_keys_are_asked_for_again_in_time(
    issuer: Issuer, make: Callable[..., Tokens], now: list[float]
) -> None:
    """A key that was withdrawn ceases to hold after `max_age_s`, though nobody brings a new one."""
    issuer.document = {"keys": [jwk("RS256", "a")]}
    tokens = make(max_age_s=300)
    await tokens.verify(signed("a"))
    issuer.document = {"keys": [jwk("RS256", "b")]}
    now[0] += 299
    await tokens.verify(signed("a"))
    now[0] += 2

    assert await why(tokens, signed("a")) == "unknown_key"


async def test_tokens_cannot_make_it_ask_often(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """A thousand names that do not exist are one question more in ten seconds."""
    issuer.document = {"keys": [jwk("RS256", "a")]}
    tokens = make(min_refetch_s=10)
    for number in range(200):
        assert await why(tokens, signed("a", kid=f"guess {number}")) == "unknown_key"

    assert issuer.asked == 1
    await tokens.verify(signed("a"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no JSON",
        b"[" * 100_000,
        b"[]",
        b'{"keys":7}',
        b'{"keys":[7]}',
        b'{"keys":[{}]}',
        b'{"keys":[{"kty":"RSA"}]}',
        b'{"keys":[' + b" " * 300_000 + b"]}",
    ],
    ids=range(9),
)
async def test_answer_that_is_no_key_set_leaves_the_old_keys(
    answer: bytes, issuer: Issuer, make: Callable[..., Tokens], now: list[float]
) -> None:
    """Whatever comes; and a first answer of this kind is 503, and no error of the program."""
    issuer.document = answer
    tokens = make()
    with pytest.raises(Refuse) as caught:
        await tokens.verify(signed("a"))
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "10"})

    issuer.document = {"keys": [jwk("RS256", "a")]}
    now[0] += 11
    await tokens.verify(signed("a"))
    issuer.document = answer
    now[0] += 1000
    await tokens.verify(signed("a"))


async def test_issuer_that_is_gone_is_believed_for_a_day(
    issuer: Issuer, make: Callable[..., Tokens], now: list[float]
) -> None:
    """Then its keys hold no longer: somebody who keeps it away must not keep a withdrawn key alive."""
    issuer.document = {"keys": [jwk("RS256", "a")]}
    tokens = make(max_stale_s=86_400)
    await tokens.verify(signed("a"))
    issuer.head = "HTTP/1.1 500 Oh"
    now[0] += 86_000
    await tokens.verify(signed("a"))
    now[0] += 1000

    with pytest.raises(Refuse):
        await tokens.verify(signed("a"))


async def test_redirect_is_not_followed(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """It could lead to another host, or to this machine's own services."""
    issuer.head = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{issuer.port}/other"
    issuer.document = {"keys": [jwk("RS256", "a")]}

    with pytest.raises(Refuse):
        await make().verify(signed("a"))
    assert issuer.asked == 1


async def test_slow_issuer_is_not_waited_for(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """The answer has a time; the loop goes on meanwhile."""
    issuer.gate = asyncio.Event()
    with pytest.raises(Refuse):
        await make(timeout_s=0.05).verify(signed("a"))
    issuer.gate.set()


@pytest.mark.parametrize(
    "entry",
    [
        jwk("RS256", "a", use="enc"),
        jwk("RS256", "a", alg="RS512"),
        jwk("RS256", "a", key_ops=["encrypt"]),
        jwk("RS256", "a", kid="other"),
        {"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"},
        jwk("ES256", "a"),
    ],
    ids=["for encryption", "other algorithm", "other use", "other name", "secret", "other family"],
)
async def test_key_for_something_else_does_not_verify(
    entry: dict[str, Any], issuer: Issuer, make: Callable[..., Tokens]
) -> None:
    """RFC 7517 §4: a key says what it is for."""
    issuer.document = {"keys": [entry, jwk("RS256", "b")]}

    assert await why(make(), signed("a")) == "unknown_key"


async def test_token_without_a_name_needs_the_only_key(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """With one key there is nothing to choose; with two it would be guessing."""
    issuer.document = {"keys": [jwk("RS256", "a"), jwk("ES256", "b")]}
    await make().verify(token("RS256", name="a"))
    await make("ES256").verify(token("ES256", name="b"))

    issuer.document = {"keys": [jwk("RS256", "a"), jwk("RS256", "b")]}
    assert await why(make(), token("RS256", name="a")) == "unknown_key"


async def test_keys_may_lie_in_a_file(tmp_path: Path, now: list[float]) -> None:
    """A file that is exchanged is read again."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk("EdDSA", "a")]}))
    tokens = Tokens(key=Jwks(path, clock=lambda: now[0]), algorithms=["EdDSA"])
    await tokens.verify(signed("a", "EdDSA"))
    path.write_text(json.dumps({"keys": [jwk("EdDSA", "b")]}))
    now[0] += 11

    await tokens.verify(signed("b", "EdDSA"))
    assert await why(tokens, signed("a", "EdDSA")) == "unknown_key"


@pytest.mark.parametrize("url", ["http://issuer.example/keys", "ftp://127.0.0.1/keys", "file:///etc/passwd"])
def test_keys_come_over_an_encrypted_way(url: str) -> None:
    """Whoever can change them on their way lets in whom it likes."""
    with pytest.raises(ValueError, match="expected https://"):
        Jwks(url)


def test_keys_of_an_issuer_are_no_secrets() -> None:
    """HS with a key set would make a public document the secret."""
    with pytest.raises(ValueError, match="need a secret"):
        JwtAuth(key=Jwks("https://issuer.example/keys"), algorithms=["HS256"])


async def test_keys_work_on_a_new_loop(issuer: Issuer, make: Callable[..., Tokens]) -> None:
    """As applications under test have them: what was asked on a loop that is gone is asked again."""
    issuer.document = {"keys": [jwk("RS256", "a")]}
    keys = Jwks(issuer.url)
    tokens = Tokens(key=keys, algorithms=["RS256"])

    def elsewhere() -> str:
        return asyncio.run(tokens.verify(signed("a"))).id

    assert await asyncio.to_thread(elsewhere) == "ada"
    assert (await tokens.verify(signed("a"))).id == "ada"
    assert SECRET not in repr(keys)
