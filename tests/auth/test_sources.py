"""Sources: where a secret may stand, and that it is gone from there afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.auth.sources import Cookie, Header, Query, Source, Subprotocol, subprotocol_of, take_first
from roomful.core.access import SCOPE_OUTER
from roomful.core.errors import NotAuthenticated
from tests.auth.scopes import scope


@pytest.mark.parametrize("source", [Header(), Cookie("s"), Subprotocol(), Query()])
def test_without_a_secret_there_is_none(source: Source) -> None:
    """Also in a scope that has nothing at all."""
    assert source.take(scope()) is None
    assert source.take({"type": "websocket"}) is None


def test_header_is_of_the_bearer_scheme() -> None:
    """RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1)."""
    assert Header().take(scope(("authorization", "Bearer abc"))) == "abc"
    assert Header().take(scope(("authorization", "bEARER  abc "))) == "abc"
    assert Header().take(scope(("authorization", "Basic abc"))) is None
    assert Header().take(scope(("authorization", "Bearer"))) == ""


def test_cookie_is_found_among_others() -> None:
    """By its whole name, quoted or not."""
    assert Cookie("s").take(scope(("cookie", "xs=1; s=abc; t=2"))) == "abc"
    assert Cookie("s").take(scope(("cookie", "a=1"), ("cookie", 's="abc"'))) == "abc"
    assert Cookie("s").take(scope(("cookie", "ss=1; S=2; s"))) is None


def test_subprotocol_is_taken_out_and_another_is_answered() -> None:
    """What holds a secret is never sent back."""
    handshake = scope(subprotocols=("chat", "roomful", "roomful.token.abc"))

    assert Subprotocol().take(handshake) == "abc"
    assert handshake["subprotocols"] == ["chat", "roomful"]
    assert handshake["headers"] == [(b"sec-websocket-protocol", b"chat, roomful")]
    assert subprotocol_of(handshake) == "roomful"


@pytest.mark.parametrize(("others", "answer"), [(("chat", "x"), "chat"), ((), None)])
def test_subprotocol_answers_what_the_client_offers(others: tuple[str, ...], answer: str | None) -> None:
    """Without `roomful` the first other one; alone nothing, because nothing else was offered."""
    handshake = scope(subprotocols=(*others, "roomful.token.abc"))
    Subprotocol().take(handshake)

    assert subprotocol_of(handshake) == answer


def test_query_is_taken_out_of_every_copy() -> None:
    """Also out of the scope that a router has copied, which the server writes down."""
    outer = scope(query="a=1&token=abc%2Bd&b=2")
    inner = {**outer, SCOPE_OUTER: outer}

    assert Query().take(inner) == "abc+d"
    assert (inner["query_string"], outer["query_string"]) == (b"a=1&b=2", b"a=1&b=2")


def test_query_keeps_what_looks_alike() -> None:
    """A parameter with a longer name is another one."""
    handshake = scope(query="xtoken=1&token_id=2")

    assert Query().take(handshake) is None
    assert handshake["query_string"] == b"xtoken=1&token_id=2"


@pytest.mark.parametrize(
    ("source", "handshake"),
    [
        (Header(), scope(("authorization", "Bearer a"), ("authorization", "Bearer a"))),
        (Cookie("s"), scope(("cookie", "s=a; s=b"))),
        (Subprotocol(), scope(subprotocols=("roomful.token.a", "roomful.token.b"))),
        (Query(), scope(query="token=a&token=b")),
    ],
)
def test_of_two_none_counts(source: Source, handshake: dict[str, object]) -> None:
    """One of them might be somebody else's."""
    with pytest.raises(NotAuthenticated) as caught:
        source.take(handshake)

    assert caught.value.why == "several"


def test_all_sources_are_emptied() -> None:
    """The first one counts; a second secret does not stay behind, and an ambiguous one is still refused."""
    handshake = scope(("authorization", "Bearer a"), query="token=b", subprotocols=("roomful.token.c",))

    assert take_first((Header(), Subprotocol(), Query()), handshake) == "a"
    assert (handshake["query_string"], handshake["subprotocols"]) == (b"", [])

    handshake = scope(("cookie", "s=a; s=b"), query="token=b")
    with pytest.raises(NotAuthenticated):
        take_first((Cookie("s"), Query()), handshake)
    assert handshake["query_string"] == b""


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_read_without_harm(query: bytes, header: bytes) -> None:
    """A source returns a text, None, or says that there are several."""
    handshake = {
        "query_string": b"token=" + query,
        "headers": [(b"authorization", b"Bearer " + header), (b"cookie", b"s=" + header)],
    }
    for source in (Header(), Cookie("s"), Query()):
        try:
            found = source.take(handshake)
        except NotAuthenticated:
            continue
        assert found is None or isinstance(found, str)
