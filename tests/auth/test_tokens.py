"""Tokens: which hold, and that nothing else comes of any text than `NotAuthenticated`."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.auth import Jwks, JwtAuth
from roomful.auth.tokens import ALGORITHMS, MAX_TOKEN_BYTES, Tokens
from roomful.core.access import Principal
from roomful.core.errors import NotAuthenticated
from tests.auth.keys import ISSUER, SECRET, pem, private_key, token, unsigned
from tests.auth.mutations import mutated, tokens_of_no_one

NOW = time.time()


def hs256(**options: Any) -> Tokens:
    return Tokens(key=SECRET, algorithms=["HS256"], **options)


async def why(tokens: Tokens, text: str) -> str:
    """Return why a token does not hold."""
    with pytest.raises(NotAuthenticated) as caught:
        await tokens.verify(text)
    error = caught.value
    assert len(text) < 20 or text not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error.why


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_token_of_each_algorithm_holds(algorithm: str) -> None:
    """Every algorithm that may be allowed works with a key of its own."""
    key = SECRET if algorithm.startswith("HS") else pem(algorithm)

    principal = await Tokens(key=key, algorithms=[algorithm]).verify(
        token(algorithm, exp=NOW + 9000, role="x")
    )

    assert (principal.id, principal.claims["role"]) == ("ada", "x")
    assert principal.expires_at == pytest.approx(NOW + 9000, abs=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (token(exp=NOW - 1), "expired"),
        (token(nbf=NOW + 5000), "not_yet_valid"),
        (token(iat=NOW + 5000), "not_yet_valid"),
        (token(aud="others"), "wrong_audience"),
        (token(exp=None), "missing_claim"),
        (token(sub=None), "missing_claim"),
        (token(sub=""), "bad_id"),
        (token(sub="a\nb"), "malformed"),
        (token(sub="x" * 256), "malformed"),
        (token(key="another secret, which is as long as the right one"), "bad_signature"),
        (token("HS384"), "wrong_algorithm"),
        (token("RS256"), "wrong_algorithm"),
        ("", "malformed"),
        ("x", "malformed"),
        ("a.b", "malformed"),
        ("a.b.c", "malformed"),
        ("é.é.é", "malformed"),
        ("\ud800", "malformed"),
        ("\0.\0.\0", "malformed"),
        (token(x="y" * MAX_TOKEN_BYTES), "malformed"),
        ("." * 2_000_000, "malformed"),
    ],
)
async def test_token_that_does_not_hold_says_why(text: str, reason: str) -> None:
    """Each has a word of its own for the audit log."""
    assert await why(hs256(), text) == reason


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 7, [], {}, "HS256\0"])
async def test_algorithm_that_is_none_does_not_hold(name: object) -> None:
    """RFC 8725 §3.1: what a token says of itself cannot switch the check off."""
    claims = {"sub": "ada", "exp": NOW + 6000}

    for signature in (b"", b"x"):
        assert await why(hs256(), unsigned({"alg": name}, claims, signature)) in (
            "wrong_algorithm",
            "malformed",
        )


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_public_key_is_no_secret(algorithm: str) -> None:
    """RFC 8725 §2.1: a token that is signed with the public key as a secret does not hold."""
    header = urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).rstrip(b"=")
    payload = urlsafe_b64encode(json.dumps({"sub": "ada", "exp": NOW + 6000}).encode()).rstrip(b"=")
    for key in (pem(algorithm), pem(algorithm).strip()):
        mac = hmac.new(key.encode(), header + b"." + payload, sha256).digest()
        forged = b".".join((header, payload, urlsafe_b64encode(mac).rstrip(b"="))).decode()

        assert await why(Tokens(key=pem(algorithm), algorithms=[algorithm]), forged) == "wrong_algorithm"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}},
        {"alg": "HS256", "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/"},
        {"alg": "HS256", "kid": "../../../../dev/null"},
        {"alg": "HS256", "kid": "' OR 1=1 --"},
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "zip": "DEF"},
    ],
)
async def test_header_of_a_token_leads_nowhere(header: dict[str, Any]) -> None:
    """RFC 8725 §3.10: keys and places that a token names are not looked at."""
    assert await why(hs256(), unsigned(header, {"sub": "ada", "exp": NOW + 6000}, b"x" * 32)) in (
        "bad_signature",
        "malformed",
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 5000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
        b'{"sub":"ada","exp":1e999}',
        b'{"sub":"ada","exp":' + b"9" * 5000 + b"}",
        b'{"sub":"ada","exp":"tomorrow"}',
        b'{"sub":"ada","exp":NaN}',
        b'{"sub":"ada","exp":-Infinity}',
        b'{"sub":"ada","exp":true}',
        b'{"sub":["ada"],"exp":4102444800}',
        b'{"sub":true,"exp":4102444800}',
        b'{"sub":"ada","exp":[]}',
        b'{"sub":"ada","exp":4102444800,"nbf":{}}',
        b'{"sub":"ada","exp":4102444800,"aud":7}',
        b"\xff\xfe",
        b"null",
        b'"x"',
        b"",
    ],
    ids=range(17),
)
async def test_signed_payload_of_any_shape_does_no_harm(payload: bytes) -> None:
    """Whoever has the key may still write nonsense: it does not hold, and nothing is raised but that."""
    header = b'{"alg":"HS256"}'
    signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    mac = hmac.new(SECRET.encode(), signed, sha256).digest()

    await why(hs256(), f"{signed.decode()}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}")


async def test_deep_header_does_no_harm() -> None:
    """A header of brackets does not end in a stack."""
    assert await why(hs256(), unsigned(b"[" * 5000, {}, b"x")) == "malformed"


async def test_issuer_and_audience_are_asked_for() -> None:
    """With them set, a token needs them; of several one is enough."""
    tokens = hs256(issuer=ISSUER, audience=["us", "them"])

    assert (await tokens.verify(token(iss=ISSUER, aud=["us", "others"]))).id == "ada"
    assert await why(tokens, token(aud="us")) == "missing_claim"
    assert await why(tokens, token(iss=ISSUER)) == "missing_claim"
    assert await why(tokens, token(iss="https://other.example", aud="us")) == "wrong_issuer"
    assert await why(tokens, token(iss=ISSUER, aud="others")) == "wrong_audience"


async def test_leeway_holds_in_both_directions() -> None:
    """Clocks may differ by the leeway, and the principal holds for as much longer."""
    tokens, now = hs256(leeway_s=30), time.time()

    late = await tokens.verify(token(exp=now - 10))
    early = await tokens.verify(token(nbf=now + 10))

    assert late.expires_at == pytest.approx(now + 20, abs=1)
    assert early.id == "ada"


async def test_id_may_be_another_claim() -> None:
    """A number is an id too; it becomes text."""
    tokens = hs256(id_claim="user_id")

    assert (await tokens.verify(token(sub=None, user_id=42))).id == "42"
    assert (await tokens.verify(token(sub=7, user_id="x"))).id == "x"
    assert await why(tokens, token()) == "missing_claim"
    for wrong in (True, 4.2, [], {}, ""):
        assert await why(tokens, token(user_id=wrong)) == "bad_id"


async def test_required_claims_are_the_programs_own() -> None:
    """Without `exp` among them a token may hold for ever, and the principal says so."""
    assert (await hs256(required=()).verify(token(exp=None))).expires_at is None
    assert await why(hs256(required=("jti",)), token()) == "missing_claim"


async def test_several_keys_are_told_apart_by_their_names() -> None:
    """A rotation of secrets: the old and the new hold, each under its name only."""
    old, new = SECRET, "x" + SECRET
    tokens = Tokens(key={"old": old, "new": new}, algorithms=["HS256"])

    assert (await tokens.verify(token(key=new, headers={"kid": "new"}))).id == "ada"
    assert (await tokens.verify(token(key=old, headers={"kid": "old"}))).id == "ada"
    assert await why(tokens, token(key=old, headers={"kid": "new"})) == "bad_signature"
    assert await why(tokens, token(key=old, headers={"kid": "gone"})) == "unknown_key"
    assert await why(tokens, token(key=old)) == "unknown_key"


@given(secret=st.binary(min_size=64, max_size=200))
@settings(max_examples=30)
async def test_secret_of_any_bytes_is_one(secret: bytes) -> None:
    """However it is written, and whether one algorithm is allowed or several: what it signs holds, and nothing else."""
    for allowed in (["HS256"], ["HS512"], ["HS256", "HS512"]):
        tokens = Tokens(key=secret, algorithms=allowed)
        for algorithm in allowed:
            assert (await tokens.verify(token(algorithm, key=secret))).id == "ada"
            assert await why(tokens, token(algorithm, key=secret + b"x")) == "bad_signature"
        assert await why(tokens, token("HS384", key=secret)) == "wrong_algorithm"


def test_authenticator_says_whether_it_waits() -> None:
    """With its keys at hand it does not, so that nobody sets a deadline; with a user to load it may."""

    async def load_user(principal: Principal) -> object:
        return principal

    how: dict[str, Any] = {"key": SECRET, "algorithms": ["HS256"]}
    assert JwtAuth(**how).never_waits
    assert JwtAuth(key={"a": SECRET}, algorithms=["HS256"]).never_waits
    assert not JwtAuth(**how, load_user=load_user).never_waits
    assert not JwtAuth(key=Jwks("keys.json"), algorithms=["RS256"]).never_waits


@pytest.mark.parametrize(
    ("algorithms", "key", "problem"),
    [
        (["HS256", "RS256"], SECRET, "mix families"),
        (["none"], SECRET, "'none' is not known"),
        (["hs256"], SECRET, "'hs256' is not known"),
        ([], SECRET, "empty"),
        ("HS256", SECRET, "empty or a text"),
        (["HS256"], "short", "key does not fit HS256; expected a secret"),
        (["HS512"], SECRET[:63], "key does not fit HS512"),
        (["HS256"], "", "key does not fit"),
        (["HS256"], {}, "empty mapping"),
        (["RS256"], "no key", "expected PEM"),
        (["RS256"], SECRET, "expected PEM"),
        (["HS256"], pem("RS256"), "key does not fit HS256"),
        (["ES256"], pem("RS256"), "key does not fit ES256"),
        (["EdDSA"], pem("ES256"), "key does not fit EdDSA"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(algorithms: Any, key: Any, problem: str) -> None:
    """A mistake of the program is found when it starts; the text shows no key."""
    with pytest.raises(ValueError, match=problem) as caught:
        Tokens(key=key, algorithms=algorithms)

    if isinstance(key, str) and key:
        assert key not in str(caught.value)
    assert caught.value.__cause__ is None


def test_repr_shows_no_key() -> None:
    """Whatever shows the object shows its algorithms only."""
    assert repr(hs256()) == "<Tokens HS256>"


async def check_tokens_of_no_one(text: str) -> None:
    for tokens in (HS, RS):
        await why(tokens, text)


HS = hs256()
RS = Tokens(key=pem("RS256"), algorithms=["RS256", "PS256"])
RIGHT = (token(exp=NOW + 10**6), token("RS256", exp=NOW + 10**6))


@given(tokens_of_no_one() | st.sampled_from(RIGHT).flatmap(mutated))
@settings(max_examples=300)
async def test_no_text_is_let_in_or_raises_anything_else(text: str) -> None:
    """Random texts and mutations of right tokens: none holds, and nothing but `NotAuthenticated` is raised."""
    await check_tokens_of_no_one(text)


@pytest.mark.slow
@given(tokens_of_no_one() | st.sampled_from(RIGHT).flatmap(mutated))
@settings(max_examples=20_000)
async def test_twenty_thousand_texts_are_not_let_in(text: str) -> None:
    """The same at length."""
    await check_tokens_of_no_one(text)


def test_private_key_is_no_public_one() -> None:
    """A private key can verify too, so it is taken; it is the program's own."""
    Tokens(key=private_key("ES256"), algorithms=["ES256"])
