"""Addresses: where a client really is, behind the proxies that are trusted and no others.

What stands in `X-Forwarded-For` was written by somebody; it counts as far as a trusted proxy wrote it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from .headers import values_of

__all__ = ("Addresses",)

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SUBSCRIBER_BITS: Final = 64
"""The part of an IPv6 address that its owner cannot choose (RFC 6177): whoever has one has all that share it."""


class Addresses:
    """Finds the client's address.

    Args:
        trusted_proxies: Addresses or networks, such as `10.0.0.0/8`; `unix` for whatever comes over a Unix socket.

    Raises:
        ValueError: One is neither.
    """

    __slots__ = ("_networks", "_trusts_unix")

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        names = (trusted_proxies,) if isinstance(trusted_proxies, str) else tuple(trusted_proxies)
        self._trusts_unix = "unix" in names
        self._networks = tuple(ipaddress.ip_network(name) for name in names if name != "unix")

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """Return the client's address, of IPv6 the network that it cannot leave; None where nobody knows it."""
        client = scope.get("client")
        if not client and not self._trusts_unix:
            return None
        nearest = _parse(client[0]) if client else None
        if nearest is None and client:
            return str(client[0])  # a test client's name, for instance
        if nearest is not None and not self._trusts(nearest):
            return _text(nearest)
        for entry in reversed(_forwarded(scope)):
            address = _parse(entry)
            if address is None:
                break  # whatever stands to the left of it was not written by somebody who is trusted
            nearest = address
            if not self._trusts(address):
                break
        return None if nearest is None else _text(nearest)

    def _trusts(self, address: _Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def _forwarded(scope: Mapping[str, Any]) -> list[str]:
    lines = values_of(scope, b"x-forwarded-for")
    return [entry.strip() for line in lines for entry in line.decode("latin-1").split(",")]


def _parse(text: str) -> _Address | None:
    # Some proxies write the port too: "192.0.2.1:8080", "[2001:db8::1]:8080".
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _text(address: _Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _SUBSCRIBER_BITS), strict=False))
    return str(address)
