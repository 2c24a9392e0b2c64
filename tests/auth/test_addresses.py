"""Addresses: where a client is, behind proxies that are trusted and others."""

from __future__ import annotations

import pytest

from roomful.auth.addresses import Addresses
from tests.auth.scopes import scope

PROXIES = Addresses(["10.0.0.0/8", "2001:db8:f::/48"])


def of(addresses: Addresses, client: str | None, *forwarded: str) -> str | None:
    return addresses.of(scope(*(("x-forwarded-for", line) for line in forwarded), client=client))


def test_without_trust_the_header_does_not_count() -> None:
    """Anybody can write it."""
    assert of(Addresses(), "192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert of(PROXIES, "192.0.2.1", "198.51.100.7") == "192.0.2.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7, 10.1.1.1"], "198.51.100.7"),
        (["10.9.9.9"], "10.9.9.9"),
        (["evil, 198.51.100.7:1234"], "198.51.100.7"),
        (["198.51.100.7, unknown"], "10.0.0.1"),
        (["198.51.100.7, , 10.1.1.1"], "10.1.1.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["[2001:db8::7]:443"], "2001:db8::/64"),
        (["\xff" * 100], "10.0.0.1"),
    ],
)
def test_trusted_proxies_are_read_from_the_right(forwarded: list[str], expected: str) -> None:
    """The client is the last address that a trusted proxy wrote; what stands before it the client wrote itself."""
    assert of(PROXIES, "10.0.0.1", *forwarded) == expected


def test_addresses_of_one_subscriber_are_one() -> None:
    """Whoever has an IPv6 network has 2**64 addresses; an IPv4 address in an IPv6 coat is that address."""
    assert of(PROXIES, "2001:db8:1:2:3::4") == of(PROXIES, "2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert of(PROXIES, "::ffff:192.0.2.1") == "192.0.2.1"
    assert of(PROXIES, "::ffff:10.0.0.1", "198.51.100.7") == "198.51.100.7"
    assert of(PROXIES, "2001:db8:f::1", "198.51.100.7") == "198.51.100.7"


def test_unix_socket_is_trusted_by_name() -> None:
    """It has no address."""
    assert of(Addresses(), None, "198.51.100.7") is None
    assert of(Addresses(["unix"]), None, "198.51.100.7") == "198.51.100.7"
    assert of(Addresses("unix"), None) is None


def test_client_without_an_address_has_its_name() -> None:
    """As the test clients of frameworks have."""
    assert of(PROXIES, "testclient", "198.51.100.7") == "testclient"


def test_setting_that_is_no_network_is_refused() -> None:
    """A mistake is found when the program starts."""
    with pytest.raises(ValueError, match="does not appear to be"):
        Addresses(["proxy.example"])
