"""Origins: which pages may open a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.auth import Origins
from tests.auth.scopes import scope


def allows(origins: Origins, origin: str | None, host: str = "app.example.com", scheme: str = "ws") -> bool:
    lines = [("host", host)] if origin is None else [("host", host), ("origin", origin)]
    return origins.allow(scope(*lines, scheme=scheme))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://app.example.com", "app.example.com"),
        ("http://app.example.com", "app.example.com"),
        ("https://APP.example.com", "app.EXAMPLE.com"),
        ("https://app.example.com:443", "app.example.com"),
        ("https://app.example.com", "app.example.com:443"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_pages_of_the_own_host_may_come(origin: str, host: str) -> None:
    """The port counts, the scheme's own may be left out; behind a proxy that ends TLS the scheme differs."""
    assert allows(Origins(), origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evil.example/app.example.com",
        "https://evilapp.example.com",
        "https://example.com",
        "https://x.app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com@evil.example",
        "https://evil.example#app.example.com",
        "https://evil.example?app.example.com",
        "https://app.example.com/",
        "http://app.example.com:443",
        "https://app.example.com:port",
        "https://app.example.com:99999999",
        "ftp://app.example.com",
        "file://app.example.com",
        "app.example.com",
        "//app.example.com",
        "https://",
        "null",
        "",
        "https://app.example.com, https://evil.example",
        "https://[",
        "\xff\xfe",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    """Neither others' nor what is made to look like the own."""
    assert not allows(Origins(), origin)


def test_encrypted_socket_wants_an_encrypted_page() -> None:
    """A page that anybody on the way can change must not come in behind TLS."""
    assert not allows(Origins(), "http://app.example.com", scheme="wss")
    assert allows(Origins(), "https://app.example.com", scheme="wss")


def test_allowed_origins_are_exact_or_all_subdomains() -> None:
    """A star stands for one or more labels, and not for the domain itself."""
    origins = Origins(["https://www.example.org", "https://*.example.net", "http://localhost:5173"])

    for origin in (
        "https://www.example.org",
        "https://a.example.net",
        "https://b.a.example.net",
        "http://localhost:5173",
    ):
        assert allows(origins, origin)
    for origin in (
        "http://www.example.org",
        "https://x.www.example.org",
        "https://example.net",
        "http://a.example.net",
        "https://a.example.net:8443",
        "https://evilexample.net",
        "https://a.example.net.evil.example",
        "http://localhost:5174",
    ):
        assert not allows(origins, origin)


def test_clients_that_are_no_browsers_pass_by_setting() -> None:
    """Without an `Origin` there is no page whose cookies could be borrowed."""
    assert allows(Origins(), None)
    assert not allows(Origins(required=True), None)
    assert not allows(Origins("*", required=True), None)


def test_anything_may_come_where_the_program_says_so() -> None:
    """`*` is for services without cookies; `null` for pages without an origin."""
    assert allows(Origins("*"), "https://evil.example")
    assert allows(Origins(["null"]), "null")
    assert not allows(Origins(["null"]), "https://evil.example")


def test_two_origins_or_hosts_are_none() -> None:
    """A browser sends one of each."""
    host = ("host", "a.example")
    origin = ("origin", "https://a.example")

    assert Origins().allow(scope(host, origin))
    assert not Origins().allow(scope(host, origin, origin))
    assert not Origins().allow(scope(host, host, origin))
    assert not Origins().allow(scope(origin))


@pytest.mark.parametrize(
    "text", ["example.com", "https://*", "https://*.*.example.com", "https://a.example/path", "*.example.com"]
)
def test_setting_that_is_no_origin_is_refused(text: str) -> None:
    """A mistake is found when the program starts."""
    with pytest.raises(ValueError, match="is none"):
        Origins([text])


@given(st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace").decode("latin-1")))
def test_no_text_does_harm(text: str) -> None:
    """Whatever stands in the header: an answer, and it is no for all that is not the own host."""
    assert not allows(Origins(), text, host="the-only.example") or "the-only.example" in text
